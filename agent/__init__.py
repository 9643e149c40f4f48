"""What we do about it: prompt, model, rules, loop, trajectories, ablation, report and the command line."""
