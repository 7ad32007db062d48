"""Re-ranking measured beside its peers: `bench_rerank.py` is the command.

texts     pairs of a query and a passage with a wanted number of tokens
models    model directories and the peers' exports of them
engines   the implementations, each behind one interface
worker    a process per implementation, kept alive and fed with pairs
work      floating-point operations of a forward pass; the rate products reach on this machine
measure   who runs when: tuning, interleaved rounds, latency, cold starts
fidelity  what a low precision does to scores and orders
report    the tables
"""
