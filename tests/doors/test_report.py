"""Reports as people and as GitHub read them."""

from layerwright.core.finding import Finding, Outcome, Place, failed, note, passed, with_identity
from layerwright.report.formats import RenderOptions, github, terminal
from layerwright.report.report import Report, Run


def run(backend, *findings, target="layers.py:Mixer"):
    stamped = tuple(with_identity(finding, code, slug, 0.1) for code, slug, finding in findings)
    return Run(target, "Mixer() on (None, 5)", backend, 0.5, stamped, ("inferred input shape (None, 5)",), id="c0")


MIXES = (
    "LW301",
    "batch-independence",
    failed("moved by 0.3", "keep axis 0 out", influence_map=[[1.0, 0.2], [0.0, 0.6]]),
)
MIXES_TOO = (
    "LW301",
    "batch-independence",
    failed("moved by 0.4", "keep axis 0 out", influence_map=[[1.0, 0.2], [0.0, 0.6]]),
)
HOLDS = ("LW302", "batch-independence-in-training", passed())
NOTE = ("LW706", "model-file", note("loads with custom_objects", "register the class"))


def rendered(report, **options):
    return terminal.render(report, RenderOptions(**options))


def test_same_finding_on_every_backend_is_said_once():
    text = rendered(Report((run("jax", MIXES, HOLDS), run("torch", MIXES_TOO, HOLDS)), "3.15.1"))
    assert text.count("LW301 batch-independence failed on every backend") == 1
    assert text.count("keep axis 0 out") == 1
    assert "LW302" not in text
    assert "1 case on jax, torch (keras 3.15.1): 2 passed, 2 failed" in text


def test_finding_on_one_backend_names_it():
    text = rendered(Report((run("jax", MIXES), run("torch", HOLDS))))
    assert "LW301 batch-independence failed on jax" in text


def test_verbose_shows_all_and_notes_show_always():
    report = Report((run("jax", HOLDS, NOTE),))
    assert "LW302" in rendered(report, verbose=True)
    assert "LW302" not in rendered(report)
    assert "LW706 model-file note on jax" in rendered(report)
    assert "✓ Mixer" in rendered(report)


def test_influence_map_is_drawn():
    drawn = terminal.draw_influence_map({"influence_map": [[1.0, 1e-9], [0.0, 0.6]]}).splitlines()
    assert drawn[1:] == ["│██░░│", "│  ██│"], "by logarithms where entries lie decades apart"
    drawn = terminal.draw_influence_map({"influence_map": [[1.0, 0.2], [0.0, 0.6]]}).splitlines()
    assert drawn[1:] == ["│██░░│", "│  ▓▓│"]
    assert terminal.draw_influence_map({}) == ""
    assert terminal.draw_influence_map({"influence_map": [[0.0] * 40] * 40}) == ""
    assert "██" in terminal.draw_influence_map({"influence_map": [["inf"]]})


def test_markup_in_messages_is_shown_as_written():
    text = rendered(Report((run("jax", ("LW102", "call", failed("got [bold]x[/] and [0]", ""))),)))
    assert "got [bold]x[/] and [0]" in text


def test_github_escapes_and_counts():
    finding = ("LW102", "call", failed("50% of\nlines: bad, worse", "mend"))
    text = github.render(
        Report((run("jax", finding, ("LW307", "receptive-field", Finding(Outcome.WARNED, "far"))),)), RenderOptions()
    )
    assert "::50%25 of%0Alines: bad, worse%0AFix: mend\n" in text
    assert text.splitlines()[1].startswith("::warning file=layers.py,line=1,title=LW307")
    assert text.splitlines()[-1] == "layerwright: 1 failed, 1 warned"


def test_github_has_no_file_for_a_module():
    text = github.render(Report((run("jax", MIXES, target="package.layers:Mixer"),)), RenderOptions())
    assert text.startswith("::error title=LW301 batch-independence (Mixer on jax)::")


def test_github_annotates_the_place_at_fault():
    place = Place("layers.py", 13, 5, 14, 9, "Mixer.call", "mixes samples")
    finding = Finding(Outcome.FAILED, "moved", places=(place,))
    text = github.render(Report((run("jax", ("LW301", "batch-independence", finding)),)), RenderOptions())
    assert text.startswith("::error endLine=14,file=layers.py,line=13,title=LW301")
