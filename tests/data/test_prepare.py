"""Training data from files as people have them, through the pass that ``train`` makes."""

import json
import zipfile
from pathlib import Path

import pytest

from hypotez.data import source
from hypotez.data.check import Method
from hypotez.data.prepare import Prepared, Wishes, inspect, prepare
from hypotez.errors import DataError

ROWS = [(f"Вопрос {i}?", f"Ответ {i}, и ещё") for i in range(12)]
CSV = "вопрос,ответ\n" + "".join(f'"{q}","{a}"\n' for q, a in ROWS)


def lines(prepared: Prepared) -> list[dict[str, object]]:
    return [json.loads(line) for line in prepared.path.read_text("utf-8").splitlines()]


def pairs(prepared: Prepared) -> list[tuple[str, str]]:
    return [(line["messages"][-2]["content"], line["messages"][-1]["content"]) for line in lines(prepared)]


def made(tmp_path: Path, name: str, content: str | bytes, **wishes: object) -> Prepared:
    file = tmp_path / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return prepare(source.find(data_file=file), tmp_path / "out.jsonl", Wishes(**wishes))


def faults(tmp_path: Path, name: str, content: str | bytes, **wishes: object) -> list[str]:
    with pytest.raises(DataError) as caught:
        made(tmp_path, name, content, **wishes)
    assert not (tmp_path / "out.jsonl").exists()
    return [str(fault).removeprefix(f"{tmp_path}/") for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("d.csv", CSV, id="csv"),
        pytest.param("d.csv", CSV.encode("utf-8-sig"), id="utf-8 with mark"),
        pytest.param("d.csv", CSV.encode("utf-16"), id="utf-16"),
        pytest.param("d.csv", CSV.encode("utf-16-le"), id="utf-16 without mark"),
        pytest.param("d.csv", CSV.encode("cp1251"), id="windows-1251"),
        pytest.param("d.csv", CSV.replace('","', '";"').replace("с,о", "с;о"), id="semicolons"),
        pytest.param("d.csv", "sep=|\n" + CSV.replace('","', '"|"').replace("с,о", "с|о"), id="declared delimiter"),
        pytest.param("d.csv", CSV.replace("\n", "\r\n"), id="windows line ends"),
        pytest.param("d.tsv", "Question\tAnswer\n" + "".join(f"{q}\t{a}\n" for q, a in ROWS), id="tsv"),
        pytest.param("d.jsonl", "\n".join(json.dumps({"prompt": q, "completion": a}) for q, a in ROWS), id="jsonl"),
        pytest.param(
            "d.jsonl",
            "\n".join(
                json.dumps({"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]})
                for q, a in ROWS
            ),
            id="chat jsonl",
        ),
        pytest.param(
            "d.json",
            json.dumps(
                [{"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]} for q, a in ROWS]
            ),
            id="sharegpt",
        ),
        pytest.param(
            "d.json", json.dumps([{"instruction": q, "input": "", "output": a} for q, a in ROWS]), id="alpaca"
        ),
        pytest.param("d.json", json.dumps({"data": [{"input": q, "output": a} for q, a in ROWS]}), id="nested json"),
        pytest.param("d.json", json.dumps(dict(ROWS), ensure_ascii=False, indent=1), id="question: answer"),
        pytest.param("d.md", "# Магазин\n\n" + "".join(f"## {q}\n\n{a}\n\n" for q, a in ROWS), id="markdown"),
    ],
)
def test_every_format_gives_the_same_conversations(tmp_path: Path, name: str, content: str | bytes):
    prepared = made(tmp_path, name, content)

    assert pairs(prepared) == ROWS
    assert prepared.n_examples == 12
    assert prepared.method == "supervised"
    assert prepared.warnings == []


def write_xlsx(path: Path, rows: list[tuple[str, str]]) -> None:
    """The least that is an Excel workbook: one sheet of inline strings."""
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    relations = "http://schemas.openxmlformats.org/package/2006/relationships"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    cells = "".join(
        f'<row r="{i}">'
        + "".join(f'<c r="{c}{i}" t="inlineStr"><is><t>{v}</t></is></c>' for c, v in zip("AB", row, strict=True))
        + "</row>"
        for i, row in enumerate(rows, start=1)
    )
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kinds}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{relations}"><Relationship Id="r1" Type="{office}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{office}"><sheets><sheet name="s" sheetId="1" r:id="r1"/>'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{relations}"><Relationship Id="r1" '
        f'Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f"<worksheet {main}><sheetData>{cells}</sheetData></worksheet>",
    }
    with zipfile.ZipFile(path, "w") as book:
        for name, text in parts.items():
            book.writestr(name, text)


@pytest.mark.parametrize("kind", ["parquet", "xlsx"])
def test_parquet_and_excel(tmp_path: Path, kind: str):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(ROWS, schema=["question", "answer"], orient="row")
    path = tmp_path / f"d.{kind}"
    if kind == "xlsx":
        write_xlsx(path, [("question", "answer"), *ROWS])
    else:
        frame.write_parquet(path)

    prepared = prepare(source.find(path), tmp_path / "out.jsonl", Wishes())

    assert pairs(prepared) == ROWS


def test_csv_text_and_a_folder_with_many_kinds(tmp_path: Path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_text(CSV, "utf-8")
    (folder / "b.md").write_text("# Hello?\nHi.\n")
    (folder / "notes.docx").write_text("not ours")

    from_text = prepare(source.find(CSV), tmp_path / "text.jsonl", Wishes())
    from_folder = prepare(source.find(data_dir=folder), tmp_path / "folder.jsonl", Wishes())

    assert pairs(from_text) == ROWS
    assert pairs(from_folder) == [*ROWS, ("Hello?", "Hi.")]


def test_all_faults_of_all_files_come_at_once_with_file_line_and_field(tmp_path: Path):
    table = 'вопрос,ответ\nа,\n,б\n"x\ny",z\nq,w,e\nлишь вопрос\nа,"б"в\n'
    (tmp_path / "a.csv").write_text(table, "utf-8")
    (tmp_path / "b.jsonl").write_text('{"messages": []}\nnot json\n[1]\n{"role": 1}\n')

    with pytest.raises(DataError) as caught:
        prepare(source.find(data_dir=tmp_path), tmp_path / "out.jsonl", Wishes())

    found = [str(fault).removeprefix(f"{tmp_path}/") for fault in caught.value.faults]
    assert found == [
        "a.csv:2: ответ: the answer is empty",
        "a.csv:3: вопрос: the question is empty",
        "a.csv:6: 3 fields where the header has 2; put texts that hold the delimiter in double quotes",
        "a.csv:7: ответ: the answer is empty",
        'a.csv:8: text follows a closing double quote; inside quotes write "" for a quote',
        "b.jsonl:1: messages: messages is empty",
        "b.jsonl:1: messages: there must be at least one message from the assistant",
        "b.jsonl:2: not valid JSON (column 1: Expecting value)",
        "b.jsonl:3: Expected file to have JSONL format, where every line is a valid JSON dictionary. "
        "Line 3 is not a dictionary (starts with: [1]...)",
        "b.jsonl:4: no question and answer columns among 'role'",
    ]
    assert all(fault in str(caught.value) for fault in found)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        pytest.param(
            "d.csv", "question,answer\n", "Training file has 0 example(s), but must have at least 10", id="header"
        ),
        pytest.param("d.csv", "question,answer\na,b\n", "Training file has 1 example(s), but must have", id="too few"),
        pytest.param("d.csv", "\n\n", "d.csv: empty", id="blank"),
        pytest.param("d.csv", "foo,bar\n1,2\n3,4\n", "no question and answer columns among 'foo', 'bar'", id="columns"),
        pytest.param("d.csv", "answer,answer\n1,2\n", "d.csv:1: column answer appears twice", id="twice"),
        pytest.param(
            "d.csv", b"question,answer\na,caf\xe9\n", "d.csv:2: wrong encoding: byte 0xE9 is not UTF-8", id="latin"
        ),
        pytest.param("d.csv", CSV.encode()[:-9] + b"\xd0\n", "d.csv:13: wrong encoding: byte 0xD0", id="damaged"),
        pytest.param("d.csv", bytes(range(256)), "not a text file (it holds zero bytes)", id="binary"),
        pytest.param("d.csv", 'question,answer\na,"b\n', "d.csv:2: a double quote is opened here", id="open quote"),
        pytest.param(
            "d.json", '[{"q": "1",\n "a": }]', "d.json:2: not valid JSON (column 7: Expecting value)", id="json"
        ),
        pytest.param("d.json", '[{"q": "1"}', "d.json:1: not valid JSON", id="json cut off"),
        pytest.param("d.json", "3", "a JSON list or object is needed, this is 3", id="number"),
        pytest.param("d.md", "just text\n", "d.md has no headings", id="no headings"),
        pytest.param("d.parquet", "no parquet", "d.parquet is not a Parquet file", id="parquet"),
        pytest.param("d.xlsx", "no excel", "d.xlsx is not an Excel workbook", id="xlsx"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, name: str, content: str | bytes, expected: str):
    assert any(expected in fault for fault in faults(tmp_path, name, content))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param({"data": "nowhere.csv"}, "There is no file nowhere.csv", id="file"),
        pytest.param({"data_dir": "nowhere"}, "There is no folder nowhere", id="folder"),
        pytest.param({"data_dir": "."}, "holds no training data; looked for .csv", id="empty folder"),
        pytest.param({"data_file": "photo.png"}, "'.png' files cannot be read; can: .csv", id="kind"),
        pytest.param({"data_file": "empty.csv"}, "empty.csv is empty", id="empty"),
        pytest.param({"data_dir": "photo.png"}, "photo.png is a file, not a folder", id="file as folder"),
        pytest.param({"data_file": "."}, "is a folder, not a file", id="folder as file"),
        pytest.param({"data": "  "}, "The training data is empty text", id="blank text"),
        pytest.param({}, "No training data was given", id="nothing"),
    ],
)
def test_what_is_not_there_is_said_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, str], expected: str
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.png").write_bytes(b"x")
    if "empty.csv" in arguments.values():
        (tmp_path / "empty.csv").touch()

    with pytest.raises(DataError) as caught:
        source.find(**arguments)

    assert expected in str(caught.value)


def test_a_close_name_is_suggested(tmp_path: Path):
    (tmp_path / "shop.csv").touch()

    with pytest.raises(DataError) as caught:
        source.find(tmp_path / "shp.csv")

    assert caught.value.hint == f"Did you mean {tmp_path}/shop.csv?"


def test_columns_can_be_given(tmp_path: Path):
    text = "id,foo,bar\n" + "".join(f"{i},{q},x\n" for i, (q, _) in enumerate(ROWS))

    prepared = made(tmp_path, "d.csv", text, columns={"prompt": "foo", "completion": "bar"})

    assert pairs(prepared) == [(q, "x") for q, _ in ROWS]
    assert faults(tmp_path, "d.csv", text, columns={"prompt": "boo"}) == [
        "d.csv:2: there is no column 'boo'; there are: id, foo, bar"
    ]


def test_the_system_instruction_opens_examples_that_have_none(tmp_path: Path):
    text = "system,question,answer\nbe brief,a,b\n,c,d\n"

    prepared = made(tmp_path, "d.csv", text, system="be kind", minimum=1)

    assert [line["messages"][0]["content"] for line in lines(prepared)] == ["be brief", "be kind"]


def test_negative_examples_get_the_label_false(tmp_path: Path):
    prepared = made(tmp_path, "d.csv", CSV, positive=False)

    assert prepared.method == "kto"
    assert {line["label"] for line in lines(prepared)} == {False}


def test_labels_and_pairs_are_recognised(tmp_path: Path):
    labelled = made(tmp_path, "a.csv", "вопрос,ответ,метка\nа,б,да\nв,г,нет\n", minimum=1)
    assert [line["label"] for line in lines(labelled)] == [True, False]

    paired = made(tmp_path, "b.csv", "prompt,chosen,rejected\na,b,c\n", minimum=1)
    assert paired.method == "dpo"
    assert lines(paired) == [
        {
            "input": {"messages": [{"role": "user", "content": "a"}]},
            "preferred_output": [{"role": "assistant", "content": "b"}],
            "non_preferred_output": [{"role": "assistant", "content": "c"}],
        }
    ]
    assert faults(tmp_path, "c.csv", "вопрос,ответ,метка\nа,б,может быть\n") == [
        "c.csv:2: метка: 'может быть' is not true or false"
    ]
    assert faults(tmp_path, "d.csv", "prompt,chosen,rejected\na,b,b\n") == [
        "d.csv:2: rejected: the two answers are the same"
    ]


def test_methods_do_not_mix_in_silence(tmp_path: Path):
    mixed = (
        '{"prompt": "a", "completion": "b"}\n{"prompt": "a", "chosen": "b", "rejected": "c"}\n'
        '{"prompt": "a", "completion": "b", "label": 1}\n'
    )

    assert faults(tmp_path, "d.jsonl", mixed) == [
        f"d.jsonl:2: a dpo example, but {tmp_path}/d.jsonl:1 is a supervised one; train them apart",
        f"d.jsonl:3: a kto example, but {tmp_path}/d.jsonl:1 is a supervised one; train them apart",
    ]


def test_duplicates_damage_length_and_leaks_are_warnings(tmp_path: Path):
    text = "question,answer\na,b\na,b\nc,d\ufffd\ne," + "long " * 400 + "\n"
    training = made(tmp_path, "d.csv", text, minimum=1, context_window=256)
    (tmp_path / "v.csv").write_text("question,answer\nz,y\nc,x\n")

    validation = prepare(source.find(tmp_path / "v.csv"), tmp_path / "v.jsonl", Wishes(minimum=1), not_in=training)

    assert [str(w).removeprefix(f"{tmp_path}/") for w in training.warnings] == [
        f"d.csv:3: the same as {tmp_path}/d.csv:2",
        "d.csv:4: holds the character U+FFFD: it was damaged by a wrong encoding before",
        "d.csv:5: about 510 tokens, more than the model's 256: it is cut at the end",
    ]
    assert [str(w).removeprefix(f"{tmp_path}/") for w in validation.warnings] == [
        f"v.csv:3: the question is in the training data too ({tmp_path}/d.csv:4)"
    ]


def test_inspect_reports_without_raising(tmp_path: Path):
    (tmp_path / "d.csv").write_text("question,answer\na,\nb,c\n")

    report = inspect(source.find(tmp_path / "d.csv"), Wishes())

    assert not report.ok
    assert report.n_examples == 1
    assert [fault.line for fault in report.faults] == [2]


def test_a_large_json_list_is_read_element_by_element(tmp_path: Path):
    answers = [{"question": f"q{i}", "answer": "ответ " * 50} for i in range(3000)]
    text = "[\n" + ",\n".join(json.dumps(a, ensure_ascii=False) for a in answers) + "\n]"

    prepared = made(tmp_path, "d.json", text)
    broken = faults(tmp_path, "d.json", text.replace('"q2500",', '"q2500"'))

    assert prepared.n_examples == 3000
    assert broken[0].startswith("d.json:2502: not valid JSON")


def test_a_prompt_for_reinforcement_ends_with_the_user(tmp_path: Path):
    chat = json.dumps({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})

    told = faults(tmp_path, "d.jsonl", "\n".join([chat] * 10), method=Method.REINFORCEMENT)
    unasked = faults(tmp_path, "d.csv", "frage,antwort\nq,a\n", method=Method.REINFORCEMENT)

    assert told[0] == "d.jsonl:1: messages: the last message must be from the user"
    assert unasked[0] == "d.csv:2: no question column among 'frage', 'antwort'"
