"""`python -m worker` is `kadencia`: how a process starts another without looking for the script."""

from worker.cli import main

if __name__ == "__main__":
    main()
