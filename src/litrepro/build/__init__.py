"""The book's build: discover, execute, cache, check and render its notebooks; the ``litrepro`` command."""
