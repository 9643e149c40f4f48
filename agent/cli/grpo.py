"""`firewatch grpo`: improves a model by the results of its decisions."""

from agent.cli.command import command, new_folder
from agent.cli.console import note, write_json
from agent.cli.environ import stay_offline
from agent.finetune.grpo import GrpoOptions, reinforce
from agent.play.workers import worker_pool
from data.files.folder_lock import hold


@command(GrpoOptions)
def grpo(asked: GrpoOptions) -> int:
    """Improves a model by the results of its decisions on embedded tasks; start from an adapter of `sft`.

    The model makes one decision of each task; the rules play the steps before and after it. The reward is
    the task's score, less 0.2 for a remedy of a healthy service, 0.5 for an unusable reply, 0.005 for each
    step, and 0.001 for each character beyond 200.

    [dim]Example:[/dim] firewatch grpo --adapter adapters/rules --steps 100 --out adapters/better
    """
    stay_offline()
    folder = asked.resume or asked.out or new_folder("adapters")
    with hold(folder), worker_pool(asked.jobs, asked.ray) as pool:
        card = reinforce(asked, folder, pool, lambda line: note(line, asked.quiet))
    told = f"{folder}: reward of held-out prompts {card['held_out_reward_after']:.3f}"
    note(f"{told}. Play with: --adapter {folder}", asked.quiet)
    write_json(asked.json_to, card)
    return 0
