"""What is in this folder? `python -m utils.datasets describe FOLDER`."""

from utils.commands.describe import main
from utils.system.errors import user_errors

if __name__ == "__main__":
    with user_errors():
        main()
