#!/usr/bin/env bash
# Everything that a GPU has to show, in one call of under ten minutes: the tests of kernels and engine on it, loss curves
# beside the CPU's, speed and memory beside PyTorch's, what the screen costs.
#
#     benches/gpu.sh OUT [DATA]
#
# OUT: a folder for logs and the table (OUT/table.txt). DATA: a text file or folder to train on; without, the built-in
# stories. Where cargo is, it builds what it needs; else (a GPU machine without Rust) these name what was built elsewhere:
#
#     RAPTR_TUI   the program        cargo build --release --features cuda
#     RAPTR_TESTS the tests          cargo test --release --features cuda --test gpu --no-run
#     RAPTR_BENCH the bench          cargo bench --features cuda --bench gpu --no-run
#     PYTHON      a python with PyTorch (default python3; without PyTorch, ours alone is measured)
#
# Each part has its own limit and goes on after another's failure; the exit code is that of the first that failed.
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "$1" && cd "$1" && pwd)
data=${2:+--data $2}
data=${data:---set data.source=stories}
python=${PYTHON:-python3}

if [ -z "${RAPTR_TUI:-}" ]; then
    cargo build --release --features cuda || exit 1
    RAPTR_TUI=target/release/raptr-tui
fi
built() { # the executable that cargo names in its JSON
    cargo "$@" --no-run --message-format=json 2> /dev/null | grep -o '"executable":"[^"]*"' | tail -n 1 | cut -d '"' -f 4
}
if [ -z "${RAPTR_TESTS:-}" ]; then RAPTR_TESTS=$(built test --release --features cuda --test gpu); fi
if [ -z "${RAPTR_BENCH:-}" ]; then RAPTR_BENCH=$(built bench --features cuda --bench gpu); fi
# PyTorch's packages bring CUDA's libraries, where no toolkit is installed.
for folder in $("$python" -c 'import glob, site
print(*(f for s in site.getsitepackages() for f in glob.glob(s + "/nvidia/*/lib")))' 2> /dev/null) /usr/local/cuda/lib64; do
    export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done

status=0
part() { # NAME SECONDS COMMAND...: its output into OUT/NAME.txt
    local name=$1 limit=$2
    shift 2
    local began=$SECONDS
    timeout "$limit" "$@" > "$out/$name.txt" 2>&1
    local code=$?
    failed $code
    echo "== $name: exit $code, $((SECONDS - began)) s" | tee -a "$out/table.txt"
    return $code
}
failed() { # CODE: of one more part
    [ $status -ne 0 ] || status=$1
}
: > "$out/table.txt"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee -a "$out/table.txt"

# 1. Every kernel and the whole step against candle's autograd, on the GPU; and 2. the same 300 steps on the GPU, in f32 and
# bf16, and on the CPU, which has the time that the tests take.
runs=$(mktemp -d)
curve() { # CONFIG NAME ARGUMENTS...
    local config=$1 name=$2
    shift 2
    part "curve-$config-$name" 120 "$RAPTR_TUI" "$config" --headless --quiet $data --run-dir "$runs" \
        --name "$config-$name" --set train.steps=300 --set stage=[] --set method.name=full \
        --set evaluation.every=0 --set checkpoint.every=0 "$@"
}
curves=()
for config in gpt-small bert-small; do
    curve "$config" cpu-f32 --device cpu --set train.precision=f32 &
    curves+=($!)
done
RAPTR_GPU=0 part tests 120 "$RAPTR_TESTS" --test-threads 4 --skip driver::
tail -n 3 "$out/tests.txt" >> "$out/table.txt"
for config in gpt-small bert-small; do
    curve "$config" gpu-f32 --device cuda --set train.precision=f32
    curve "$config" gpu-bf16 --device cuda --set train.precision=bf16
done
for pid in "${curves[@]}"; do
    wait "$pid"
    failed $?
done
"$python" - "$runs" >> "$out/table.txt" << 'END'
import json, sys
def losses(name):
    with open(f"{sys.argv[1]}/{name}/events.jsonl") as f:
        events = [json.loads(line) for line in f]
    return {e["step"]: e["loss"] for e in events if e.get("event") == "stepped"}
for config in ("gpt-small", "bert-small"):
    try:
        cpu = losses(f"{config}-cpu-f32")
    except OSError as error:
        print(config, error)
        continue
    for name in ("gpu-f32", "gpu-bf16"):
        gpu = losses(f"{config}-{name}")
        steps = sorted(cpu.keys() & gpu.keys())
        apart = [abs(cpu[s] - gpu[s]) for s in steps]
        row = " ".join(f"{s}: {gpu[s]:.4f}/{cpu[s]:.4f}" for s in steps[:: max(1, len(steps) // 6)])
        print(f"{config} {name}/cpu {row}; {len(steps)} steps, at most {max(apart):.4f} apart, mean {sum(apart)/len(apart):.5f}")
END

# 3. Speed, memory, time by path length, beside PyTorch.
with=()
"$python" -c 'import torch; assert torch.cuda.is_available()' 2> /dev/null && with=(--python "$python")
part speed 300 "$RAPTR_BENCH" --rounds 3 "${with[@]}"
cat "$out/speed.txt" >> "$out/table.txt"

# 4. The same run with and without the screen, in a pseudo-terminal: mean time of a step. The screen stays open when the run
# has ended, so it is told to end then.
cost() { # WAY
    local command="$RAPTR_TUI gpt-small $data --device cuda --run-dir $runs --name cost-$1 --set train.steps=400"
    command="$command --set train.precision=bf16"
    [ "$1" = screen ] || command="$command --headless --quiet"
    (
        for _ in $(seq 55); do
            sleep 1
            ! grep -qs '"event":"finished"' "$runs/cost-$1/events.jsonl" || break
        done
        pkill -TERM -f "cost-$1 "
    ) &
    script -qec "stty rows 36 cols 120; $command" /dev/null < /dev/null
    local code=$?
    [ $code -eq 143 ] && grep -q '"event":"finished"' "$runs/cost-$1/events.jsonl" && return 0
    return $code
}
export -f cost
export RAPTR_TUI data runs
for way in headless screen; do
    part "cost-$way" 70 bash -c "cost $way"
done
"$python" - "$runs" >> "$out/table.txt" << 'END'
import json, sys
for way in ("headless", "screen"):
    try:
        with open(f"{sys.argv[1]}/cost-{way}/events.jsonl") as f:
            events = [json.loads(line) for line in f]
    except OSError as error:
        print(way, error)
        continue
    at = {e["step"]: e["us"] for e in events if e.get("event") == "stepped"}
    steps = sorted(s for s in at if s >= 100)
    if len(steps) > 1:
        print(f"{way}: {(at[steps[-1]] - at[steps[0]]) / (len(steps) - 1) / 1000:.3f} ms a step over {len(steps)} steps")
END
echo "captures that failed: $(cat "$runs"/*/raptr.log 2> /dev/null | grep -c 'no CUDA graph')" >> "$out/table.txt"
rm -rf "$runs"
cat "$out/table.txt"
exit $status
