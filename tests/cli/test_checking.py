"""`likewise check` and `likewise info`."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import likewise
from likewise.cli import main


def test_check(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(index)]) == 0
    assert "ok" in capsys.readouterr().out
    assert main(["check", str(index), "--fast", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True

    [segment] = index.glob("segment-*")
    content = bytearray(segment.read_bytes())
    content[-100] ^= 1
    segment.write_bytes(content)
    assert main(["check", str(index)]) == 1
    assert segment.name in capsys.readouterr().out
    assert main(["check", str(index), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert main(["search", str(index), "mass"]) == 2
    assert segment.name in capsys.readouterr().err


def test_check_of_what_is_no_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"weights": np.ones(3, dtype=np.float32)}, tmp_path / "foreign.safetensors")
    for path in (tmp_path / "missing", tmp_path / "foreign.safetensors", tmp_path):
        assert main(["check", str(path)]) == 2
        out, err = capsys.readouterr()
        assert str(path) in err and err.startswith("likewise: error: ") and out == ""


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts == json.loads(json.dumps(likewise.info()))
    assert main(["info"]) == 0
    out = capsys.readouterr().out
    assert likewise.__version__ in out
    assert all(re.search(rf"^{name}\b", out, re.M) for name in facts)


def test_info_of_an_index(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(index), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert "posting_documents" in json.dumps(facts)
    assert main(["info", str(index)]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^  name +dtype +shape +n_bytes$", out, re.M)
    assert re.search(r"^  posting_documents +uint32 +\d+ +\d+$", out, re.M)
    assert re.search(r"^  variant +lucene$", out, re.M)
