"""`likewise project` and `likewise whiten`: .npy files in, .npy files out, whole or not at all."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import likewise
from likewise.cli import main, vectors
from likewise.projection import RandomProjection, min_dim
from likewise.whitening import Whitening

RunProgram = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def rows() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(500, 24)) @ rng.normal(size=(24, 24)) + 3).astype(np.float32)


@pytest.fixture
def source(rows: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "x.npy"
    np.save(path, rows)
    return path


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch, rows: np.ndarray) -> None:
    """Seven rows a block: the last one is shorter."""
    monkeypatch.setattr(vectors, "BLOCK_BYTES", 7 * rows[0].nbytes)


# --- project ---


@pytest.mark.usefixtures("small_blocks")
def test_project_equals_the_library(
    source: Path, rows: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "y.npy"
    command = ["project", str(source), str(out), "--components", "16", "--seed", "7"]
    assert main([*command, "--json", "--threads", "1"]) == 0
    expected = RandomProjection(16, random_state=7).fit(rows).transform(rows)
    found = np.load(out)
    assert found.dtype == np.float32 and found.tobytes() == expected.tobytes()
    report = json.loads(capsys.readouterr().out)
    assert (report["n_samples"], report["n_features"], report["n_components"]) == (500, 24, 16)
    assert (report["method"], report["seed"], report["dtype"]) == ("hadamard", 7, "float32")
    assert main(command) == 0
    line = capsys.readouterr().out
    shape = r"500 rows, 24 -> 16 columns of float32, method hadamard, seed 7, 32.0 kB"
    assert re.fullmatch(rf"{out}: {shape}, in [\d.]+ s \(\d+ rows/s\)\n", line), line


@pytest.mark.parametrize("dtype", ["float64", "float16", "int8", ">f4"])
def test_project_takes_every_real_type(dtype: str, rows: np.ndarray, tmp_path: Path) -> None:
    given = np.rint(rows).astype(dtype)
    np.save(tmp_path / "x.npy", given)
    assert main(["project", str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), "--components", "8", "--seed", "1"]) == 0
    expected = RandomProjection(8, random_state=1).fit_transform(given)
    found = np.load(tmp_path / "y.npy")
    assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()


@pytest.mark.usefixtures("small_blocks")
def test_project_takes_a_column_major_file(source: Path, rows: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "columns.npy", np.asfortranarray(rows))
    for name in ("x", "columns"):
        files = [str(tmp_path / f"{name}.npy"), str(tmp_path / f"{name}-out.npy")]
        assert main(["project", *files, "--components", "8", "--seed", "3", "--method", "sjlt"]) == 0
    assert (tmp_path / "x-out.npy").read_bytes() == (tmp_path / "columns-out.npy").read_bytes()


@pytest.mark.usefixtures("small_blocks")
def test_project_chooses_the_dimension_from_the_number_of_rows(
    source: Path, rows: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "y.npy")
    assert main(["project", str(source), out, "--epsilon", "0.9", "--delta", "0.2", "--seed", "0", "--json"]) == 0
    expected = RandomProjection("auto", epsilon=0.9, delta=0.2, random_state=0).fit(rows)
    assert json.loads(capsys.readouterr().out)["n_components"] == expected.n_components_
    assert np.load(out).tobytes() == expected.transform(rows).tobytes()


def test_project_with_a_fresh_seed_says_which(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = str(tmp_path / "first.npy"), str(tmp_path / "second.npy")
    assert main(["project", str(source), first, "--components", "8", "--json"]) == 0
    seed = json.loads(capsys.readouterr().out)["seed"]
    assert main(["project", str(source), second, "--components", "8", "--seed", str(seed)]) == 0
    assert Path(first).read_bytes() == Path(second).read_bytes()


def test_project_onto_its_own_input(source: Path, rows: np.ndarray) -> None:
    """The input is still mapped while the result grows beside it; only then is the name given away."""
    assert main(["project", str(source), str(source), "--components", "8", "--seed", "3"]) == 0
    expected = RandomProjection(8, random_state=3).fit(rows).transform(rows)
    assert np.load(source).tobytes() == expected.tobytes()


def test_project_a_file_without_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.empty((0, 24), np.float32))
    assert main(["project", str(tmp_path / "x.npy"), str(tmp_path / "y.npy"), "--components", "8"]) == 0
    found = np.load(tmp_path / "y.npy")
    assert found.shape == (0, 8) and found.dtype == np.float32


def test_dimension(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["project", "--dim", "10000", "0.1"]) == 0
    assert capsys.readouterr().out == "8351\n"
    assert main(["project", "--dim", "10000", "0.1", "--delta", "0.5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "n_samples": 10000, "epsilon": 0.1, "delta": 0.5, "n_components": min_dim(10000, 0.1, 0.5),
    }  # fmt: skip


# --- whiten ---


@pytest.mark.usefixtures("small_blocks")
def test_whiten_equals_the_library(
    source: Path, rows: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, out = str(tmp_path / "model.safetensors"), str(tmp_path / "y.npy")
    options = ["--components", "6", "--beta", "0.5", "--gamma", "0.75", "--threads", "1"]
    assert main(["whiten", "fit", str(source), model, *options, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    expected = Whitening(6, beta=0.5, gamma=0.75, n_threads=1).fit(rows)
    assert (report["n_samples"], report["n_features"], report["n_components"]) == (500, 24, 6)
    assert report["rank"] == expected.rank_
    assert report["explained_ratio"] == pytest.approx(float(expected.explained_ratio_[:6].sum()))
    assert main(["whiten", "apply", model, str(source), out, "--threads", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["n_samples"], report["n_features"], report["n_components"]) == (500, 24, 6)
    found = np.load(out)
    assert found.dtype == np.float32 and found.shape == (500, 6)
    np.testing.assert_allclose(found, expected.transform(rows), rtol=2e-6, atol=2e-6)
    # A loaded model can go on: its statistics are in the file.
    assert Whitening.load(model).set_hyper(beta=1.0, gamma=1.0).n_samples_seen_ == 500


def test_whiten_reports_in_words(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = str(tmp_path / "model.safetensors"), str(tmp_path / "y.npy")
    assert main(["whiten", "fit", str(source), model, "--components", "0.9"]) == 0
    line = capsys.readouterr().out
    assert re.fullmatch(
        rf"{model}: 500 rows, 24 -> \d+ columns \(rank 24\), which hold 9\d\.\d % of the variance, beta 1, gamma 1, "
        r"in [\d.]+ s\n",
        line,
    ), line
    assert main(["whiten", "apply", model, str(source), out]) == 0
    line = capsys.readouterr().out
    shape = r"500 rows, 24 -> \d+ columns of float32, [\d.]+ kB"
    assert re.fullmatch(rf"{out}: {shape}, in [\d.]+ s \(\d+ rows/s\)\n", line), line


def test_whiten_warns_of_a_missing_rank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 5))
    np.save(tmp_path / "x.npy", np.hstack([rows, rows[:, :2]]))
    assert main(["whiten", "fit", str(tmp_path / "x.npy"), str(tmp_path / "m"), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert "7 -> 5 columns (rank 5)" in out
    assert err.startswith("likewise: warning: ") and err.count("\n") == 1


# --- What is refused ---


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([*map(str, arguments), "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    [line] = [line for line in err.splitlines() if line.startswith("likewise: error: ")]
    return line.removeprefix("likewise: error: ")


BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "expected a .npy file of numbers, got a damaged one (No data left in file)"),
    "text": (b"0.1 0.2\n0.3 0.4\n", "got something else, or an array of Python objects"),
    "half a header": (b"\x93NUMPY\x01\x00", "got a damaged one ("),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_refuses_what_is_no_array(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, message = BAD_FILES[name]
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    line = refused(capsys, "project", path, tmp_path / "y.npy", "--components", 8)
    assert line.startswith(f"{path}: expected a .npy file of numbers, got ") and message in line
    assert [file.name for file in tmp_path.iterdir()] == ["x.npy"]


def test_refuses_a_file_that_was_cut(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source.write_bytes(source.read_bytes()[:-4])
    line = refused(capsys, "whiten", "fit", source, tmp_path / "m")
    assert line.startswith(f"{source}: expected a .npy file of numbers, got a damaged one (")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), "expected a 2-D array, got shape (3,) [a row a vector]"),
        (np.zeros((2, 3, 4)), "expected a 2-D array, got shape (2, 3, 4)"),
        (np.zeros((2, 3), complex), "Complex data not supported"),
        (np.array([["a", "b"]]), "expected an array of numbers, got dtype <U1"),
        (np.array([[None, 1]], object), "got something else, or an array of Python objects"),
        (np.zeros((2, 0)), "0 feature(s)"),
    ],
)
def test_refuses_other_arrays(
    array: np.ndarray, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "x.npy", array)
    for command in (["project", tmp_path / "x.npy", tmp_path / "y"], ["whiten", "fit", tmp_path / "x.npy", "m"]):
        assert message in refused(capsys, *command, "--components", 2)
    assert [file.name for file in tmp_path.iterdir()] == ["x.npy"]


def test_refuses_an_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros((2, 3)))
    line = refused(capsys, "whiten", "fit", tmp_path / "x.npz", tmp_path / "m")
    assert line == f"{tmp_path / 'x.npz'}: expected a .npy file, got an archive of several arrays (.npz)"


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_names_the_rows_of_a_bad_number(
    bad: float, rows: np.ndarray, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "m"
    assert main(["whiten", "fit", str(source), str(model), "--quiet"]) == 0
    before = model.read_bytes()
    capsys.readouterr()
    rows[23, 5] = bad
    np.save(source, rows)
    for command in (
        ["project", source, tmp_path / "y.npy", "--components", 8],
        ["whiten", "fit", source, model],
        ["whiten", "apply", model, source, tmp_path / "y.npy"],
    ):
        line = refused(capsys, *command)
        assert line.startswith(f"{source}, in rows 21 to 27 (counted from 21): ") and "at row 2, column 5" in line
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m", "x.npy"]  # nothing half-written
    assert model.read_bytes() == before


def test_refuses_another_width(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["whiten", "fit", str(source), str(tmp_path / "m"), "--quiet"]) == 0
    capsys.readouterr()
    np.save(tmp_path / "narrow.npy", np.zeros((3, 4)))
    line = refused(capsys, "whiten", "apply", tmp_path / "m", tmp_path / "narrow.npy", tmp_path / "y.npy")
    assert "X has 4 features, but Whitening is expecting 24 features as input" in line


def test_refuses_bad_options(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "y.npy"
    assert "--dim" in refused(capsys, "project")
    assert "--dim" in refused(capsys, "project", source)
    assert "expected no files beside it" in refused(capsys, "project", source, out, "--dim", 10, 0.5)
    assert "expected a number of points and an epsilon" in refused(capsys, "project", "--dim", "many", 0.5)
    assert "epsilon" in refused(capsys, "project", "--dim", 10, 1.5)
    assert "n_samples" in refused(capsys, "project", "--dim", 1, 0.5)
    assert "argument --components" in refused(capsys, "project", source, out, "--components", 0)
    assert "method" in refused(capsys, "project", source, out, "--components", 8, "--method", "fourier")
    assert "random_state" in refused(capsys, "project", source, out, "--components", 8, "--seed", -1)
    assert "not allowed with" in refused(capsys, "project", source, out, "--components", 8, "--epsilon", 0.5)
    needs_more = ["--epsilon", 0.01, "--method", "gaussian"]
    assert "n_components" in refused(capsys, "project", source, out, *needs_more)
    assert "n_components" in refused(capsys, "whiten", "fit", source, out, "--components", 25)
    assert "n_components" in refused(capsys, "whiten", "fit", source, out, "--components", 0)
    assert "a share" in refused(capsys, "whiten", "fit", source, out, "--components", "many")
    assert "gamma" in refused(capsys, "whiten", "fit", source, out, "--gamma", 3)
    assert "COMMAND" in refused(capsys, "whiten")
    assert [file.name for file in tmp_path.iterdir()] == ["x.npy"]


def test_refuses_a_bad_place_before_it_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = tmp_path / "no" / "y.npy"
    for command in (
        ["project", tmp_path / "x.npy", gone, "--components", 8],
        ["whiten", "fit", tmp_path / "x.npy", gone],
        ["whiten", "apply", tmp_path / "m", tmp_path / "x.npy", gone],
    ):
        assert refused(capsys, *command) == f"{tmp_path / 'no'}: no such folder"
    assert refused(capsys, "whiten", "fit", tmp_path / "x.npy", tmp_path) == f"{tmp_path}: Is a directory"
    missing = refused(capsys, "whiten", "fit", tmp_path / "x.npy", tmp_path / "m")
    assert missing == f"{tmp_path / 'x.npy'}: No such file or directory"
    assert "standard input" in refused(capsys, "whiten", "fit", "-", tmp_path / "m")
    assert "standard output" in refused(capsys, "project", "x.npy", "-", "--components", 8)


def test_refuses_a_file_of_another_kind(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RandomProjection(8, random_state=0).fit(np.zeros((2, 24))).save(tmp_path / "projection")
    line = refused(capsys, "whiten", "apply", tmp_path / "projection", source, tmp_path / "y.npy")
    assert "whitening" in line and "projection" in line


def test_full_disk_leaves_what_was_there(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from likewise.persistence.files import Directory

    (tmp_path / "y.npy").write_bytes(b"before")

    def full(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Directory, "write", full)
    line = refused(capsys, "project", source, tmp_path / "y.npy", "--components", 8)
    assert line.endswith("No space left on device")
    assert (tmp_path / "y.npy").read_bytes() == b"before"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.npy", "y.npy"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.skipif(bool(likewise.info()["sanitizers"]), reason="a sanitizer keeps what is freed")
@pytest.mark.parametrize("command", ["project", "whiten fit", "whiten apply"])
def test_memory_does_not_grow_with_the_file(command: str, tmp_path: Path, environment: dict[str, str]) -> None:
    """Highest resident memory on a file of 12 blocks and on one of a single row differ by about two blocks."""
    program = (
        "import sys; from pathlib import Path; from likewise.cli import main; code = main(sys.argv[1:]); "
        "[line] = [x for x in Path('/proc/self/status').read_text().splitlines() if x.startswith('VmHWM')]; "
        "print(code, line.split()[1])"
    )
    n_samples = 12 * vectors.BLOCK_BYTES // (4 * 768)
    for name, n in (("one", 2), ("all", n_samples)):
        file = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", np.float32, (n, 768))
        file[:] = np.random.default_rng(0).normal(size=768)
        file[::2] += 1
        file.flush()
    words: list[object] = command.split()
    if command == "whiten apply":
        Whitening(beta=0, gamma=0).fit(np.eye(768, dtype=np.float32)).save(tmp_path / "m")
        words.append(tmp_path / "m")
    peaks = []
    for name in ("one", "all"):
        options = [*words, tmp_path / f"{name}.npy", tmp_path / "out", "--quiet", "--threads", "1"]
        if command != "whiten apply":
            options += ["--components", 1]
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, options)],
            env=environment | {"OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        code, peak = done.stdout.split()[-2:]
        assert code == "0", done.stderr
        peaks.append(int(peak) * 1024)
    # A block of rows and its result; what the library needs beside them is there for two rows too.
    assert peaks[1] - peaks[0] < 2.5 * vectors.BLOCK_BYTES
