"""`firewatch grpo`: teaches a model by what its decisions come to."""

from agent.cli.command import command, new_folder
from agent.cli.console import note, write_json
from agent.cli.environ import stay_offline
from agent.finetune.grpo import GrpoOptions, reinforce


@command(GrpoOptions)
def grpo(asked: GrpoOptions) -> int:
    """Teaches a model by what its decisions come to on embedded tasks; start from an adapter that `sft` made.

    The rules play each task up to one decision and on from there; in between the model decides. The reward is
    the task's score, less 0.2 for a remedy of a healthy service, 0.5 for a reply that cannot be used, 0.005
    for each step, and 0.001 for each character beyond 200.

    [dim]Example:[/dim] firewatch grpo --adapter adapters/rules --steps 100 --out adapters/better
    """
    stay_offline()
    folder = asked.resume or asked.out or new_folder("adapters")
    card = reinforce(asked, folder, lambda line: note(line, asked.quiet))
    told = f"{folder}: reward of held-out prompts {card['held_out_reward_after']:.3f}"
    note(f"{told}. Play with: --adapter {folder}", asked.quiet)
    write_json(asked.json_to, card)
    return 0
