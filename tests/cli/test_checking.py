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


@pytest.mark.parametrize(
    "content",
    [b"hello\n", b'{"a": 1}', b"\x7fELF\x02\x01\x01" + bytes(200), b"\x93NUMPY\x01\x00v\x00"],
)
def test_check_of_a_file_of_another_kind(
    content: bytes, index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").write_bytes(content)
    assert main(["check", str(tmp_path / "other")]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"likewise: error: {tmp_path / 'other'}: expected a likewise file") and out == ""
    assert "(not a likewise file)" in err
    assert main(["info", str(tmp_path / "other")]) == 2
    assert "(not a likewise file)" in capsys.readouterr().err
    [manifest] = index.glob("manifest-*")
    assert main(["check", str(manifest)]) == 2
    # What was one of ours is damaged, whatever became of it.
    [segment] = index.glob("segment-*")
    whole = segment.read_bytes()
    for damaged in (b"", whole[:1000], bytes(len(whole)), bytes(8) + whole[8:], whole[:100] + bytes(512) + whole[612:]):
        segment.write_bytes(damaged)
        assert main(["check", str(segment)]) == 1
        assert segment.name in capsys.readouterr().out


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
