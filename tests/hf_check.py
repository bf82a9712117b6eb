"""Does the real `transformers` load our exports, with equal logits?

    python3 -m venv venv && venv/bin/pip install torch transformers safetensors
    raptr-tui RUN... ; raptr-tui export RUN --format hf --out DIR
    venv/bin/python tests/hf_check.py DIR...

Each DIR holds `reference_logits.json`, which the export wrote from our own engine. Loads the folder as the class its
config names, without missing or unexpected weights, compares logits in float32 (at most 1e-4 apart), and puts a text
through the tokenizer where there is one. Ends with 1 if anything is off.
"""

import json
import pathlib
import sys

import torch
import transformers

TOLERANCE = 1e-4


def check(folder: pathlib.Path) -> bool:
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    model, info = getattr(transformers, name).from_pretrained(folder, output_loading_info=True)
    model.eval()
    loose = {k: sorted(v) for k, v in info.items() if v and k in ("missing_keys", "unexpected_keys", "mismatched_keys")}
    reference = json.loads((folder / "reference_logits.json").read_text())
    worst = 0.0
    for ids, logits in zip(reference["input_ids"], reference["logits"]):
        with torch.no_grad():
            theirs = model(input_ids=torch.tensor([ids])).logits[0]
        ours = torch.tensor(logits)
        assert theirs.shape == ours.shape, (theirs.shape, ours.shape)
        worst = max(worst, (theirs - ours).abs().max().item())
        scale = ours.abs().max().item()
    told = ""
    if (folder / "tokenizer.json").exists():
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        ids = tokenizer("it was the best of times")["input_ids"]
        told = f", tokenizer of {len(tokenizer)}: {len(ids)} tokens, {tokenizer.decode(ids)!r}"
    good = worst <= TOLERANCE and not loose
    print(f"{'ok ' if good else 'BAD'} {folder}: {name}, logits differ by at most {worst:.2e} (largest {scale:.2f}){told}")
    if loose:
        print(f"    loading was not clean: {loose}")
    return good


if __name__ == "__main__":
    folders = [pathlib.Path(f) for f in sys.argv[1:]]
    if not folders:
        sys.exit(__doc__)
    results = [check(folder) for folder in folders]
    sys.exit(0 if all(results) else 1)
