"""Runnable examples, one job a file: ``python -m asmu_control.examples.NAME``; ``--help`` says what each needs."""
