"""`firewatch sft`: fine-tunes a model on good decisions."""

from agent.cli.command import command, new_folder
from agent.cli.console import note, write_json
from agent.cli.environ import stay_offline
from agent.finetune.sft import SftOptions, teach
from data.files.folder_lock import hold


@command(SftOptions)
def sft(asked: SftOptions) -> int:
    """Teaches a model to decide like the rules, the expert or good runs, and writes an adapter for --adapter.

    [dim]Example:[/dim] firewatch sft --model smol --episodes 120 --out adapters/rules
    """
    stay_offline()
    folder = asked.resume or asked.out or new_folder("adapters")
    with hold(folder):
        card = teach(asked, folder, lambda line: note(line, asked.quiet))
    note(f"{folder}: held-out loss {card['held_out_loss']}. Play with: --adapter {folder}", asked.quiet)
    write_json(asked.json_to, card)
    return 0
