"""``zipsgd eval`` and ``zipsgd predict``: what training reported, from the files alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner, Result

from zipsgd.host.cli.app import app
from zipsgd.host.data.file_format import read_dataset
from zipsgd.host.training.model_file import Model, load_model
from zipsgd.host.training.predict import aligned, margins, metrics


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def trained(data: str | Path, path: Path, *more: str) -> tuple[Model, dict[str, Any]]:
    common = ("--device", "golden", "--epochs", "2", "--json", "-o", path)
    done = run("train", data, *common, *more)
    assert done.exit_code == 0, done.output
    return load_model(path), json.loads(done.stdout.splitlines()[-1])["summary"]


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes"])
def test_the_held_out_samples_give_what_training_reported(name: str, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    _, summary = trained(f"sklearn:{name}", path, "--seed", "3", "--holdout", "0.3")
    done = run("eval", path, f"sklearn:{name}", "--seed", "3", "--holdout", "0.3", "--json")
    facts = json.loads(done.stdout)
    assert facts["samples"] == summary["heldout_samples"] and facts["part"] == "held out"
    assert facts["loss"] == pytest.approx(summary["heldout_loss"], rel=1e-12)
    assert facts[summary["score"]] == pytest.approx(summary["heldout_score"], rel=1e-12)
    shown = run("eval", path, f"sklearn:{name}").stdout
    assert "all samples" in shown and shown.count("\n") == len(facts)


def test_metrics_of_two_classes(tmp_path: Path) -> None:
    model, _ = trained("sklearn:breast_cancer", tmp_path / "m.json")
    dataset = read_dataset("sklearn:breast_cancer")
    facts = metrics(model, dataset)
    z = np.concatenate(list(margins(model, dataset.features)))
    assert facts["auc"] == pytest.approx(roc_auc_score(dataset.labels, z))
    outcomes = [facts[f"{a}_{b}"] for a in ("true", "false") for b in ("positives", "negatives")]
    assert sum(outcomes) == len(z)
    assert facts["accuracy"] == sum(outcomes[:2]) / len(z)
    assert facts["accuracy"] == np.mean(model.predict(dataset.features) == dataset.labels)


def test_metrics_of_a_regression(tmp_path: Path) -> None:
    model, _ = trained("sklearn:diabetes", tmp_path / "m.json")
    dataset = read_dataset("sklearn:diabetes")
    facts = metrics(model, dataset)
    error = model.predict(dataset.features) - dataset.labels
    assert facts["root_mean_squared_error"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert facts["mean_absolute_error"] == pytest.approx(np.abs(error).mean())
    assert facts["R2"] == pytest.approx(1 - np.mean(error**2) / dataset.labels.var())


def test_predictions_are_the_models(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    for name in ("diabetes", "breast_cancer"):
        model, _ = trained(f"sklearn:{name}", tmp_path / "m.json")
        done = run("predict", tmp_path / "m.json", f"sklearn:{name}", "-o", out)
        assert done.exit_code == 0 and not done.stdout
        heading, *rows = out.read_text().splitlines()
        expected = model.predict(read_dataset(f"sklearn:{name}").features)
        assert [float(row.split(",")[0]) for row in rows] == expected.tolist()
        assert heading == ("prediction" if name == "diabetes" else "prediction,margin")
        assert run("predict", tmp_path / "m.json", f"sklearn:{name}").stdout == out.read_text()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    lines = ["size,colour,price"]
    for _ in range(60):
        size, colour = rng.normal(), rng.integers(3)
        lines.append(f"{size},{('red', 'green', 'blue')[colour]},{3 * size + colour}")
    path = tmp_path / "a.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def model(table: Path) -> Model:
    from zipsgd.host.options.options import Options
    from zipsgd.host.training.loop import prepare

    dataset = read_dataset(str(table), one_hot=("colour",), impute=True)
    return prepare(dataset, Options(epochs=1)).model(np.arange(16) << 10)


def test_columns_are_found_by_name(table: Path, model: Model, tmp_path: Path) -> None:
    from zipsgd.host.training.model_file import dump_model

    saved, new = tmp_path / "m.json", tmp_path / "new.csv"
    saved.write_bytes(dump_model(model))
    new.write_text("id,colour,size\n7,blue,0.5\n8,pink,0.5\n")
    done = run("predict", saved, new, "--unlabelled")
    assert done.exit_code == 0, done.output
    features = np.array([[0.5, 1, 0, 0], [0.5, 0, 0, 0]])
    assert model.feature_names == ("size", "colour=blue", "colour=green", "colour=red")
    assert [float(x) for x in done.stdout.split()[1:]] == model.predict(features).tolist()
    new.write_text("colour\nblue\n")
    done = run("predict", saved, new, "--unlabelled")
    assert done.exit_code == 2 and "lacks 1 of the 4 features of the model: size;" in done.stderr


def rows_of(path: Path) -> list[float]:
    return [float(x) for x in path.read_text().split()[1:]]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_what_training_filled_in_is_filled_in_again(
    tmp_path: Path, packed: bool, suffix: str
) -> None:
    """Neither the median nor the categories of the new data count, but those of training."""
    train, saved, out = tmp_path / "a.csv", tmp_path / "m.json", tmp_path / "out.csv"
    lines = [f"{i % 9 if i % 7 else ''},{('red', 'red', 'blue', '')[i % 4]},{i}" for i in range(60)]
    train.write_text("\n".join(["size,colour,price", *lines]))
    options: tuple[str, ...] = ("--one-hot", "colour", "--impute")
    source = train
    if packed:
        source = tmp_path / "a.zsgd"
        assert run("data", "pack", train, "-o", source, *options).exit_code == 0
        options = ()
    model, _ = trained(source, saved, *options)
    assert model.encoding is not None
    assert model.encoding.fill == {"size": 4.0, "colour": "red"}
    assert model.encoding.categories == {"colour": ("blue", "red")}
    new = tmp_path / "new.csv"
    new.write_text("colour,id,size\nblue,1,100\nblue,,200\n?,3,\npink,4,5\n")
    if suffix == ".parquet":
        new = tmp_path / "new.parquet"
        columns = {"colour": ["blue", "blue", None, "pink"], "size": [100, 200, None, 5]}
        parquet.write_table(pa.table(columns), new)
    done = run("predict", saved, new, "--unlabelled", "-o", out)
    assert done.exit_code == 0, done.output
    features = np.array([[100, 1, 0], [200, 1, 0], [4, 0, 1], [5, 0, 0]], dtype=float)
    assert rows_of(out) == model.predict(features).tolist()


def test_columns_without_names_are_found_by_place(tmp_path: Path) -> None:
    train, saved, out = tmp_path / "a.csv", tmp_path / "m.json", tmp_path / "out.csv"
    train.write_text("\n".join(f"{i},{'ab'[i % 2]},{i % 5}" for i in range(40)))
    model, _ = trained(train, saved, "--one-hot", "1", "--target", "0")
    assert model.feature_names == ("1=a", "1=b", "2")
    new = tmp_path / "new.csv"
    new.write_text("b,3\nc,1\n")
    assert run("predict", saved, new, "--unlabelled", "-o", out).exit_code == 0
    assert rows_of(out) == model.predict(np.array([[0, 1, 3.0], [0, 0, 1]])).tolist()


def test_missing_values_need_a_model_that_was_trained_on_some(tmp_path: Path) -> None:
    train, saved, new = tmp_path / "a.csv", tmp_path / "m.json", tmp_path / "new.csv"
    train.write_text("\n".join(["size,price", *(f"{i % 9},{i}" for i in range(60))]))
    trained(train, saved)
    new.write_text("size\n1\n?\n")
    done = run("predict", saved, new, "--unlabelled")
    assert done.exit_code == 2 and "new.csv:3" in done.stderr and "Traceback" not in done.output


def test_numbered_columns_and_short_libsvm(tmp_path: Path) -> None:
    full, short = tmp_path / "a.svm", tmp_path / "b.svm"
    rng = np.random.default_rng(0)
    full.write_text("".join(f"{rng.normal()} 1:{rng.normal()} 2:{rng.normal()}\n" for _ in "a" * 9))
    short.write_text("1 1:0.5\n")
    model, _ = trained(full, tmp_path / "m.json")
    done = run("predict", tmp_path / "m.json", short)
    assert float(done.stdout.split()[1]) == model.predict(np.array([[0.5, 0.0]]))[0]
    np.save(tmp_path / "c.npy", np.array([[0.5, 0.0, 1.0]]))
    again = run("predict", tmp_path / "m.json", tmp_path / "c.npy")
    assert again.stdout == done.stdout


def test_numbers_are_not_places(tmp_path: Path) -> None:
    """A constant feature is left out; new text that ends with it has as many columns."""
    rng = np.random.default_rng(0)
    train, short, long = (tmp_path / name for name in ("a.svm", "b.svm", "c.svm"))
    rows = rng.normal(size=(30, 3)).round(3).tolist()
    train.write_text("".join(f"{a} 1:{a} 2:{b} 3:5 4:{c}\n" for a, b, c in rows))
    short.write_text("1 1:0.5 2:0.25 3:5\n")
    long.write_text("1 1:0.5 2:0.25 3:5 4:0\n")
    model, _ = trained(train, tmp_path / "m.json", "--drop-constant")
    assert model.feature_names == ("1", "2", "4")
    found = [run("predict", tmp_path / "m.json", path).stdout for path in (short, long)]
    assert found[0] == found[1]
    assert float(found[0].split()[1]) == model.predict(np.array([[0.5, 0.25, 0.0]]))[0]
    np.save(tmp_path / "d.npy", np.ones((2, 5)))  # which column is which?
    done = run("predict", tmp_path / "m.json", tmp_path / "d.npy")
    assert done.exit_code == 2 and "lacks 1 of the 3 features of the model: 4" in done.stderr


def test_another_test_part_is_aligned_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 3)), rng.integers(2, size=40)
    x[:, 1] = 5
    path, saved = tmp_path / "a.npz", tmp_path / "m.json"
    np.savez(path, X_train=x[:30], y_train=y[:30], X_test=x[30:], y_test=y[30:])
    model, summary = trained(path, saved, "--drop-constant")
    facts = json.loads(run("eval", saved, path, "--json").stdout)
    assert facts["part"] == "test part" and facts["samples"] == 10
    assert facts["loss"] == pytest.approx(summary["heldout_loss"], rel=1e-12)
    assert aligned("a", model, read_dataset(str(path), drop_constant=True)).feature_names == (
        model.feature_names
    )


BAD = [
    (["eval", "none.json", "sklearn:iris"], "none.json cannot be read"),
    (["eval", "m.json", "sklearn:wine"], "lacks 4 of the 4 features"),
    (["eval", "m.json", "sklearn:iris", "--holdout", "2"], "above 0 and below 1"),
    (["eval", "m.json", "sklearn:iris", "--seed", "-1"], "--seed is -1"),
    (["eval", "m.json", "x.zsgd"], "name the original data"),
    (["predict", "m.json", "none.csv"], "no such file"),
    (["predict", "m.json", "sklearn:iris", "--unlabelled"], "leave out --unlabelled"),
    (["predict", "m.json", "x.csv", "--unlabelled", "--target", "y"], "--unlabelled denies"),
    (["predict", "m.json", "sklearn:iris", "-o", "none/x.csv"], "cannot be written"),
    (["predict", "m.json"], "DATA"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input_exits_with_2_and_a_sentence(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trained("sklearn:iris", tmp_path / "m.json")
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert not done.stdout and [path.name for path in tmp_path.iterdir()] == ["m.json"]


def test_a_strange_class_is_named(tmp_path: Path) -> None:
    model, _ = trained("sklearn:breast_cancer", tmp_path / "m.json")
    dataset = read_dataset("sklearn:breast_cancer")
    dataset.labels[3] = 2
    with pytest.raises(Exception, match="has a label 2, and the model tells 0 from 1"):
        metrics(model, dataset)
