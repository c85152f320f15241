"""A python3 program with a clock of its own: see tests/harness/victim.h."""
import sys
import threading
import time

progress = 0
backwards = 0


def watch():
    """Reads the monotonic clock, which nobody asked to be skewed."""
    global progress, backwards
    last = time.monotonic_ns()
    while True:
        now = time.monotonic_ns()
        backwards += now < last
        last = now
        progress += 1
        time.sleep(0.001)


threading.Thread(target=watch, daemon=True).start()
time.time_ns()
print("ready", flush=True)
for line in sys.stdin:
    command = line.strip()
    if command == "quit":
        break
    if command == "now":
        print(time.time_ns(), flush=True)
    elif command == "check":
        print(f"bad {backwards} steps back" if backwards else f"ok {progress}", flush=True)
    else:
        print("bad command", flush=True)
