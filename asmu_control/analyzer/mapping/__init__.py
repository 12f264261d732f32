"""Functions of the user, run in worker processes over the blocks of a tap: what is behind ``Tap.map``.

    the caller's process                                worker process 1 … N
    BlockMap   results in order, the account of losses  worker.py   reads its block in the ring, calls the function,
    Crew       who does which block, results that wait              looks whether the block is still intact, sends the value
    Worker     a process, its pipe and its thread
    RingPlan   which block is next; what is behind      RingTaker

The ring is the only buffer between the engine and the workers: nobody copies its frames, and the engine does not know of the
workers. What may become large is therefore bounded: blocks that a worker has before it (two), results that wait (`ahead`).
"""
