"""A paper's study from one command: its splits, its trainings, its tables beside the published ones.

A study is a YAML file (config.py says what stands in it); generalizability.py goes through its stages. Everything lies
in `store/studies/NAME/`, and nothing there decides a figure: tables are queries over the catalog's rows.
"""
