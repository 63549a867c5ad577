# The commands that a developer uses.

# Set up: the package itself, editable, with everything that tests and checks need.
setup:
    python -m pip install --upgrade "pip>=25.1"
    python -m pip install --group dev -e .

# Check style and types.
check:
    ruff check .
    mypy

# Run the tests; `just test -m "not slow"` leaves out the slow ones.
test *ARGS:
    pytest -n auto {{ARGS}}

# Build the documentation site into docs/_build; `pip install --group docs` installs what it needs.
docs:
    python -m sphinx -W --keep-going -q -c docs . docs/_build

# Paint the pictures of the README and of the documentation again.
gallery:
    python -m examples.paint all -o examples/style
    python -m examples.gallery -o docs/images/gallery.jpg
    python -m examples.texture_gallery -o docs/images/textures.jpg
    python -m examples.photo_gallery -o docs/images/photo.jpg
    python -m examples.page
    python -m examples.command_gallery

# Build the static demo, with onnxruntime-web from npm; any host of static files can serve the folder.
demo FOLDER="build/demo":
    python -m docs.build_demo {{FOLDER}}
