"""What the pages type at a terminal prints what they show."""

import blocks
import console
import pytest

PAGES = [page for page in blocks.pages() if any(block.language == "console" for block in blocks.blocks(page))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_print_what_it_shows(page, tmp_path):
    for block, ran in console.results(page, tmp_path):
        for command, said, output in ran:
            again = f"run `python docs/console.py {page.relative_to(blocks.DOCS.parent)}` if this is right"
            assert console.agree(said, output), (
                f"{page.name}:{block.line} `{command}` prints something else; {again}:\n{output}"
            )


def test_a_command_that_does_not_run_shows_no_output():
    for page in PAGES:
        for block in blocks.blocks(page):
            for command, said in block.commands() if block.language == "console" else ():
                assert not (command.startswith(tuple(console.NOT_RUN)) and said), f"{page.name}:{block.line}"


@pytest.mark.parametrize(
    ("said", "output", "agrees"),
    [
        ("1 case (0.2 s)\n", "1 case (1.7 s)\n", True),
        ("a\n…\nz\n", "a\nb\nc\nz\n", True),
        ("a\n…\nz\n", "a\nb\nc\n", False),
        ("a\n…\n", "a\nb\n", True),
        ("a\n", "a\nb\n", False),
        ("a [b]\n", "a [b]\n", True),
        ("", "", True),
        ("", "a\n", False),
    ],
)
def test_what_agrees(said, output, agrees):
    assert console.agree(said, output) is agrees
