"""What our features cost, beside programs that have fewer of them: `make bench`, or `python -m bench` in `tests/`."""
