"""Processes, shared memory, a database, a loop, threads: each says a line."""
import asyncio
import mmap
import multiprocessing
import sqlite3
import tempfile
import threading
from multiprocessing import shared_memory


def square(n):
    return n * n


def add(counter, _):
    for _ in range(100):
        with counter.get_lock():
            counter.value += 1


def insert(path, first):
    db = sqlite3.connect(path, timeout=600)
    for i in range(250):
        with db:
            db.execute("insert into t values (?)", (first + i,))


async def child():
    p = await asyncio.create_subprocess_exec("echo", "asyncio child", stdout=asyncio.subprocess.PIPE)
    out, _ = await p.communicate()
    print(out.decode().strip())


def main():
    with multiprocessing.Pool(4) as pool:
        print("pool", sum(pool.map(square, range(100))))
    counter = multiprocessing.Value("i", 0)
    several = [multiprocessing.Process(target=add, args=(counter, i)) for i in range(4)]
    for p in several:
        p.start()
    for p in several:
        p.join()
    block = shared_memory.SharedMemory(create=True, size=4096)
    block.buf[0] = 7
    block.close()
    block.unlink()
    print("shared", counter.value)
    with tempfile.TemporaryDirectory() as name:
        db = sqlite3.connect(f"{name}/a.db")
        db.execute("pragma journal_mode=wal")
        db.execute("create table t (x)")
        db.commit()
        several = [multiprocessing.Process(target=insert, args=(f"{name}/a.db", i * 1000)) for i in range(4)]
        for p in several:
            p.start()
        for p in several:
            p.join()
        print("sqlite", db.execute("select count(*) from t").fetchone()[0])
        with open(f"{name}/m", "w+b") as f:
            f.write(b"\0" * 8192)
            f.flush()
            with mmap.mmap(f.fileno(), 8192) as m:
                m[4096] = 1
        print("mmap ok")
    asyncio.run(child())
    done = []
    several = [threading.Thread(target=done.append, args=(i,)) for i in range(50)]
    for t in several:
        t.start()
    for t in several:
        t.join()
    print("threads", len(done))
    with tempfile.TemporaryFile() as f:
        f.write(b"x")
    print("tmp ok")


if __name__ == "__main__":
    main()
