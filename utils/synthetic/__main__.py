"""Write a synthetic dataset: `python -m utils.synthetic --out FOLDER`."""
from utils.synthetic.dataset import main
from utils.system.errors import user_errors

if __name__ == "__main__":
    with user_errors():
        main()
