"""Flow files, rows 1 to 14, 29 to 38 and others: what is read, and what is found before anything runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from plait import flows
from tests.parity.flows_world import BASE, SAMPLES, World
from tests.parity.flows_world import shared_origin as shared_origin
from tests.parity.flows_world import world as world

SO = "output: [{name: o, type: jmespath, value: stdout}]"
RAW = "output: [{name: o}]"
SAMPLE_1 = {
    "fetch_users": {"users": [{"id": 1, "name": "Ann"}, {"id": 2, "name": "Bob"}]},
    "fetch_products": {"products": [{"sku": "p1"}]},
    "fetch_orders": {"orders": [{"oid": 9}]},
}
TOUCH = "{name: z, source: {type: process, configuration: {command: [touch, x]}}}"


def sample(name: str) -> str:
    return (SAMPLES / name).read_text("utf-8")


def problems_of(told) -> list[str]:
    """What stderr has, of a command that refused to run; a file is `flow.yaml`, whatever its number."""
    assert (told.code, told.stdout) == (2, "")
    return [re.sub(r"^flow\d+\.yaml:", "flow.yaml:", line) for line in told.lines()]


def test_row_01_runs_one_yaml_file(world: World):
    told = world(sample("1-automatic.yaml"), alone=True)
    assert (told.code, told.out) == (0, SAMPLE_1)


class TestRow02:
    STEP = f"flow: [{{name: a, source: e, {RAW}}}]"
    LESS = "sources: {e: {configuration: {vars: [FT_B]}}}"

    def test_row_02_merges_files_lists_replaced(self, world: World):
        assert world(self.LESS, self.STEP).out == {"a": {"o": {"FT_B": "beta"}}}

    def test_row_02_a_further_flow_replaces_the_steps(self, world: World):
        told = world(self.LESS, self.STEP, f"flow: [{{name: b, source: ok, {SO}}}]")
        assert told.out == {"b": {"o": "ok\n"}}


def test_row_03_null_replaces_a_mapping(world: World):
    told = world(f"sources:\nflow: [{{name: a, source: e, {RAW}}}]")
    assert problems_of(told) == [
        "flow.yaml:2:26: Unknown provider type 'e'. Available providers: env, process, rest"
    ]


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_row_04_an_empty_file_is_an_empty_flow(world: World, text: str):
    told = world(text, alone=True)
    assert (told.code, told.out) == (0, {})


def test_row_05_places_bad_yaml(world: World):
    name = world.write("flow: [a, b\nsources: {", "bad.yaml")
    (line,) = problems_of(world.command("run", name, "-j"))
    assert line.startswith("bad.yaml:2:8: ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("flow: []\n---\nflow: []\n", "f.yaml:2:1: expected a single document in the stream"),
        ("- a\n", "f.yaml:1:1: expected a mapping at the top level, got a list"),
        ("flow: {a: {}}\n", "f.yaml:1:7: flow: expected a list, got a mapping"),
    ],
)
def test_row_06_refuses_wrong_shapes(world: World, text: str, problem: str):
    assert problems_of(world.command("run", world.write(text, "f.yaml"), "-j")) == [problem]


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("!!python/object/apply:os.system ['touch x']", "!!python/object/apply:os.system"),
        ("!!binary aGk=", "!!binary"),
    ],
)
def test_row_07_refuses_foreign_tags(world: World, text: str, tag: str):
    told = world(f"flow: [{{name: a, source: p, input: {text}}}]")
    (line,) = problems_of(told)
    assert line.endswith(f": tag {tag!r} is not allowed")
    assert not world.has("x")


class TestRow08:
    TEXT = f"zzz: 1\nflow:\n  - name: a\n    source: ok\n    retyr: 3\n    {SO}\n"

    def test_row_08_reports_unknown_keys(self, world: World):
        first, second = problems_of(world(self.TEXT))
        assert first == "flow.yaml:1:1: unknown key 'zzz' at the top level"
        assert second == "flow.yaml:5:5: unknown key 'retyr' in step 'a'; did you mean 'retry'?"

    def test_row_08_flowtoy_let_them_pass(self, world: World):
        told = world(self.TEXT, args=("-j", "--compat", "flowtoy"))
        assert (told.code, told.out) == (0, {"a": {"o": "ok\n"}})
        warnings = [line for line in told.lines() if ": warning: " in line]
        assert len(warnings) == 2


class TestRow09:
    def test_row_09_reports_duplicate_steps(self, world: World):
        text = "flow:\n  - {name: a, source: ok}\n  - {name: a, source: ok}\n"
        assert problems_of(world(text)) == ["flow.yaml:3:5: duplicate step name 'a', first at 2:5"]

    def test_row_09_reports_duplicate_keys(self, world: World):
        assert problems_of(world("flow: []\nx-a: 1\nflow: []\n")) == [
            "flow.yaml:3:1: duplicate key 'flow', first at 1:1"
        ]


class TestRow10:
    def test_row_10_reports_bad_names(self, world: World):
        text = "flow:\n  - source: ok\n  - {name: 1, source: ok}\n  - {name: true, source: ok}\n"
        assert problems_of(world(text)) == [
            "flow.yaml:2:5: step needs a name",
            "flow.yaml:3:12: flow[1].name: expected text, got int 1; quote it to make it text",
            "flow.yaml:4:12: flow[2].name: expected text, got bool true; quote it to make it text",
        ]

    def test_row_10_yes_is_a_name(self, world: World):
        assert world(f"flow: [{{name: yes, source: ok, {SO}}}]").out == {"yes": {"o": "ok\n"}}


class TestRow11:
    def test_row_11_reads_json(self, world: World):
        text = json.dumps(yaml.safe_load(sample("1-automatic.yaml")))
        assert world.command("run", world.write(text, "f.json"), "-j").out == SAMPLE_1

    @pytest.mark.parametrize("name", ["-", "/dev/stdin"])
    def test_row_11_reads_stdin(self, world: World, name: str):
        source = Path(flows.__file__).parents[1]
        ran = subprocess.run(
            [sys.executable, "-m", "plait", "run", name, "-j"],
            input=sample("1-automatic.yaml"),
            capture_output=True,
            check=False,
            text=True,
            env={**os.environ, "PYTHONPATH": str(source)},
        )
        assert "Traceback" not in ran.stderr
        assert (ran.returncode, json.loads(ran.stdout)) == (0, SAMPLE_1)


def test_row_12_takes_named_bare_and_inline_sources(world: World):
    told = world(f"""
        flow:
          - {{name: a, source: e, {RAW}}}
          - {{name: b, source: env, {RAW}}}
          - name: c
            source: {{type: env, configuration: {{vars: [FT_A]}}}}
            {RAW}
        """)
    assert told.out == {
        "a": {"o": {"FT_A": "alpha", "FT_B": "beta"}},
        "b": {"o": {}},
        "c": {"o": {"FT_A": "alpha"}},
    }


@pytest.mark.parametrize(("merge", "header"), [("", None), ("merge: deep, ", "base")])
def test_row_13_overrides_whole_keys_deep_on_request(world: World, merge: str, header: str | None):
    override = "{configuration: {url: '{{ env.PLAIT_ORIGIN }}/echo?x=1'}}"
    told = world(f"flow: [{{name: a, source: {{base: r, {merge}override: {override}}}}}]")
    assert told.code == 0
    (request,) = world.origin.requests
    assert request.path == "/echo?x=1"
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers.get("x-a") == header


def test_row_14_knows_unknown_sources_beforehand(world: World):
    told = world(f"flow: [{TOUCH}, {{name: a, source: nosuch}}]")
    (line,) = problems_of(told)
    assert "Unknown provider type 'nosuch'. Available providers: env, process, rest" in line
    assert not world.has("x")


class TestRow29:
    TEXT = f"""
        flow:
          - {{name: a, source: ok, output: [{{name: o, type: text}}, {{name: q, type: regex}}]}}
          - {{name: b, source: ok, output: [{{type: zzz}}]}}
          - {TOUCH}
        """

    def test_row_29_collects_unknown_output_types(self, world: World):
        told = world(self.TEXT)
        assert len(problems_of(told)) >= 3
        assert not world.has("x")

    def test_row_29_says_so_as_flowtoy_does(self, world: World):
        with pytest.raises(flows.FlowConfigError) as caught:
            flows.load([world.write(BASE), world.write(self.TEXT)])
        assert str(caught.value) == (
            "Flow configuration has invalid output types (expected 'raw' or 'jmespath'):\n"
            "  - Step 'a' output 'o' has unknown type 'text'\n"
            "  - Step 'a' output 'q' has unknown type 'regex'\n"
            "  - Step 'b' output 'None' has unknown type 'zzz'"
        )
        assert len(caught.value.problems) == 3


def after(told, step: str) -> list[str]:
    """For what a step waits, as `plan -j` says."""
    (found,) = [one for one in told.out["steps"] if one["name"] == step]
    return sorted({need["step"] for need in found["needs"]})


def planned(world: World, text: str):
    return world.command("plan", world.write(BASE), world.write(text), "-j")


def test_row_30_infers_from_a_reference(world: World):
    told = world(f"""
        flow:
          - {{name: b, source: p, input: '{{{{flows.a.o}}}}', {SO}}}
          - {{name: a, source: t, {SO}}}
        """)
    assert told.out == {"b": {"o": "done\n\n"}, "a": {"o": "done\n"}}
    lines = [line.split()[:2] for line in told.lines()]
    assert lines.index(["succeeded", "a"]) < lines.index(["started", "b"])


class TestRow31:
    @pytest.mark.parametrize(
        ("name", "template", "out"),
        [
            ("a", "{{ flows['a'].o }}", "done\n\n"),
            ("a", "{{ flows.a['o'] }}", "done\n\n"),
            ("a", '{{ flows["a"]["o"] }}', "done\n\n"),
            ("a", "{{ flows.a | tojson }}", '{"o": "done\\n"}\n'),
            ("a-b", "{{ flows['a-b'].o }}", "done\n\n"),
        ],
    )
    def test_row_31_infers_from_every_spelling(
        self, world: World, name: str, template: str, out: str
    ):
        step = json.dumps({"name": "b", "source": "p", "input": template})
        text = f"""
            flow:
              - {step[:-1]}, {SO}}}
              - {{name: {name}, source: t, {SO}}}
            """
        assert after(planned(world, text), "b") == [name]
        assert world(text).out["b"] == {"o": out}

    TEXT = """
        flow:
          - {name: a, source: ok, SO}
          - {name: b, source: p, input: '{% set f = flows %}{{ f.a.o }}', MORE SO}
        """.replace("SO", SO)

    def test_row_31_cannot_tell_from_others(self, world: World):
        (line,) = problems_of(world(self.TEXT.replace("MORE", "")))
        assert line.endswith("cannot tell which steps this template means; add depends_on")

    def test_row_31_unless_it_is_told(self, world: World):
        told = world(self.TEXT.replace("MORE", "depends_on: a,"))
        assert told.out["b"] == {"o": "ok\n\n"}


@pytest.mark.parametrize(
    ("given", "out"),
    [("{x: '{{flows.a.o}}'}", {"x": "done\n"}), ("['{{flows.a.o}}']", ["done\n"])],
)
def test_row_32_infers_inside_mappings_and_lists(world: World, given: str, out: object):
    told = world(f"""
        flow:
          - {{name: b, source: p, input: {given}, {SO}}}
          - {{name: a, source: t, {SO}}}
        """)
    assert json.loads(told.out["b"]["o"]) == out


@pytest.mark.parametrize(
    "source",
    [
        "named",
        "{type: process, configuration: {command: [echo, '{{flows.a.o}}']}}",
        "{base: p, override: {configuration: {command: [echo, '{{flows.a.o}}']}}}",
    ],
)
def test_row_33_infers_inside_configuration(world: World, source: str):
    text = f"""
        sources: {{named: {{type: process, configuration: {{command: [echo, '{{{{flows.a.o}}}}']}}}}}}
        flow:
          - {{name: b, source: {source}, {SO}}}
          - {{name: a, source: t, {SO}}}
        """
    assert after(planned(world, text), "b") == ["a"]
    assert world(text).out["b"] == {"o": "done\n\n"}


class TestRow34:
    def test_row_34_ignores_prose(self, world: World):
        text = f"""
            flow:
              - {{name: a, source: ok, {SO}}}
              - {{name: b, source: p, input: see flows.a.html, {SO}}}
            """
        assert after(planned(world, text), "b") == []

    @pytest.mark.parametrize(
        ("given", "out"),
        [
            ("see flows.zzz.html", "see flows.zzz.html\n"),
            ("{# flows.zzz.o #}", "\n"),
            ('{{ "flows.zzz.o" }}', "flows.zzz.o\n"),
        ],
    )
    def test_row_34_ignores_comments_and_texts(self, world: World, given: str, out: str):
        told = world(f"flow: [{{name: b, source: p, input: '{given}', {SO}}}]")
        assert (told.code, told.out) == (0, {"b": {"o": out}})


@pytest.mark.parametrize("given", ["[a]", "a"], ids=["row 35", "row 36"])
def test_row_35_depends_on(world: World, given: str):
    told = world(f"""
        flow:
          - {{name: b, source: ok, depends_on: {given}}}
          - {{name: a, source: t}}
        """)
    lines = [line.split()[:2] for line in told.lines()]
    assert lines.index(["succeeded", "a"]) < lines.index(["started", "b"])


def test_row_36_depends_on_a_missing_one(world: World):
    told = world(f"flow: [{TOUCH}, {{name: b, source: ok, depends_on: nosuch}}]")
    assert "Step 'b' depends on missing step(s): 'nosuch'" in told.stderr
    assert told.code == 2
    assert not world.has("x")


def test_row_37_collects_missing_dependencies(world: World):
    text = """
        flow:
          - {name: a, source: ok, depends_on: [zz, yy]}
          - {name: b, source: p, input: '{{ flows.ww.o }}'}
        """
    assert len(problems_of(world(text))) >= 2
    with pytest.raises(flows.FlowConfigError) as caught:
        flows.load([world.write(BASE), world.write(text)])
    assert str(caught.value) == (
        "Flow configuration has invalid dependencies:\n"
        "  - Step 'a' depends on missing step(s): 'yy', 'zz'\n"
        "  - Step 'b' depends on missing step(s): 'ww'"
    )


class TestRow38:
    def test_row_38_reports_cycles(self, world: World):
        told = world(f"""
            flow:
              - {{name: a, source: p, input: '{{{{ flows.b.o }}}}', {SO}}}
              - {{name: b, source: p, input: '{{{{ flows.a.o }}}}', {SO}}}
              - {{name: c, source: {{type: process, configuration: {{command: [touch, x]}}}}}}
              - {{name: d, source: ok, depends_on: a}}
            """)
        (line,) = problems_of(told)
        assert line.endswith(": dependency cycle: a -> b -> a")
        assert not world.has("x")

    def test_row_38_reports_a_step_that_waits_for_itself(self, world: World):
        (line,) = problems_of(world("flow: [{name: b, source: ok, depends_on: [b]}]"))
        assert line.endswith(": dependency cycle: b -> b")


class TestRowX9:
    TEXT = f"""
        params:
          n: int
          d: {{default: 1.5}}
          region: {{choices: [eu, us]}}
        flow:
          - name: a
            source: p
            input: '{{{{ params.n + 1 }}}} {{{{ params.d }}}} {{{{ params.region }}}}'
            {SO}
        """

    def test_row_x9_takes_params(self, world: World):
        told = world(self.TEXT, args=("-j", "--set", "n=3", "--set", "region=eu"))
        assert told.out == {"a": {"o": "4 1.5 eu\n"}}

    def test_row_x9_reports_wrong_ones_all_at_once(self, world: World):
        told = world(self.TEXT, args=("-j", "--set", "regoin=eu", "--set", "region=ap"))
        lines = "\n".join(problems_of(told))
        assert "param 'regoin' is not declared; did you mean 'region'?" in lines
        assert "missing param 'n': use --set n=VALUE" in lines
        assert "param 'region': 'ap' is not one of eu, us" in lines

    def test_row_x9_reports_wrong_types(self, world: World):
        told = world(self.TEXT, args=("-j", "--set", "n=x", "--set", "region=eu"))
        (line,) = problems_of(told)
        assert line.endswith("param 'n': expected int, got text 'x'")

    async def test_row_x9_in_a_program(self, world: World):
        flow = flows.load([world.write(BASE), world.write(self.TEXT)])
        result = await flow.run(params={"n": 3, "region": "us"})
        assert result.flows == {"a": {"o": "4 1.5 us\n"}}
        with pytest.raises(flows.FlowConfigError) as caught:
            await flow.run(params={"n": "3", "regoin": "us"})
        assert [one.code for one in caught.value.problems] == ["param"] * 3


class TestRowX14:
    PLAN = """\
2-mixed.yaml: 4 steps in 3 waves, 4 workers
wave 1  authenticate    rest
wave 2  fetch_users     rest     authenticate    TOKEN (2-mixed.yaml:26:24)
        fetch_products  rest     authenticate    TOKEN (2-mixed.yaml:36:24)
wave 3  combine_data    process  fetch_users     depends_on (2-mixed.yaml:45:9)
                                 fetch_products  depends_on (2-mixed.yaml:46:9)
""".replace("TOKEN", "flows.authenticate.token in input.headers.Authorization")

    def test_row_x14_plans(self, world: World):
        name = world.write(sample("2-mixed.yaml"), "2-mixed.yaml")
        told = world.command("plan", name)
        assert (told.code, told.stdout) == (0, self.PLAN)
        assert world.origin.requests == []

    def test_row_x14_plans_as_json(self, world: World):
        name = world.write(sample("2-mixed.yaml"), "2-mixed.yaml")
        told = world.command("plan", name, "-j")
        assert (told.out["workers"], told.out["waves"]) == (
            4,
            [["authenticate"], ["fetch_users", "fetch_products"], ["combine_data"]],
        )
        assert told.out["steps"][3]["needs"] == [
            {"step": "fetch_users", "because": "depends_on", "at": "2-mixed.yaml:45:9"},
            {"step": "fetch_products", "because": "depends_on", "at": "2-mixed.yaml:46:9"},
        ]

    def test_row_x14_checks(self, world: World):
        name = world.write(sample("2-mixed.yaml"), "2-mixed.yaml")
        told = world.command("check", name)
        assert (told.code, told.stdout, told.stderr) == (0, "ok: 4 steps, 3 sources\n", "")

    def test_row_x14_unset_secrets_do_not_matter(self, world: World):
        text = (
            "secrets: {s: {env: FT_NOPE}}\nflow: [{name: a, source: p, input: '{{ secrets.s }}'}]"
        )
        files = (world.write(BASE), world.write(text))
        assert world.command("check", *files).code == 0
        assert world.command("plan", *files).code == 0
        assert world.command("run", *files).code == 2


class TestRowX16:
    def test_row_x16_has_a_schema(self, world: World):
        schema = json.loads(world.command("schema").stdout)
        validator = jsonschema.Draft202012Validator(schema)
        for path in sorted(SAMPLES.iterdir()):
            document = yaml.safe_load(path.read_text("utf-8"))
            assert validator.is_valid(document), path
            document["flow"][0]["retyr"] = 3
            assert not validator.is_valid(document)
