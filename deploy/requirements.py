"""Print the requirements of the project and of some extras: `python deploy/requirements.py stack test`.

For `pip install -r`. The project itself runs from its checkout and is not installed.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
groups = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in sys.argv[1:])]
sys.stdout.write("".join(f"{requirement}\n" for group in groups for requirement in group))
