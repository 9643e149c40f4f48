"""`python -m agent` is `firewatch`."""

from agent.cli import main

if __name__ == "__main__":
    main()
