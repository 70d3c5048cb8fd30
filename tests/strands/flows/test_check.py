"""Everything that is found before anything runs, with its place."""

from __future__ import annotations

import itertools

import pytest

from plait._strands._flows.check import check
from plait._strands._flows.names import Names
from plait._strands._flows.problems import FlowConfigError

DURATION = "a number of seconds or text such as 500ms, 2s, 1m30s, 1h or 1d"
CONDITIONS = "a status, 4xx, 5xx, timeout, connect, exit, exit:N, signal, source or any"
STEP = "flow:\n  - name: a\n    source: env\n"


class TestShapes:
    def test_all_of_them_at_once_in_the_order_of_the_file(self, wrong):
        text = """\
        zzz: 1
        x-ok: {}
        name: 5
        flow:
          - name: a
            source: env
            retyr: 3
            output: [{name: o, from: bdy, vlaue: 1}, x]
            when: 5
            depends_on: [1]
            reuse: 1
            timeout: 0
          - name: 1
            source: env
          - source: [a]
          - x
        runner: {max_workers: -1, timeout: 5x, allow_hosts: a, foo: 1}
        """
        assert wrong(text) == [
            "a.yaml:1:1: unknown key 'zzz' at the top level",
            "a.yaml:3:7: name: expected text, got int 5; quote it to make it text",
            "a.yaml:7:5: unknown key 'retyr' in step 'a'; did you mean 'retry'?",
            "a.yaml:8:30: flow[0].output[0].from: expected body, status or headers, got text 'bdy'",
            "a.yaml:8:35: unknown key 'vlaue' in output 'o' of step 'a'; did you mean 'value'?",
            "a.yaml:8:46: flow[0].output[1]: expected a mapping, got text 'x'",
            "a.yaml:9:11: flow[0].when: expected true, false or an expression, got int 5",
            "a.yaml:10:18: flow[0].depends_on[0]: expected text, got int 1; quote it to make it text",
            "a.yaml:11:12: flow[0].reuse: expected true or false, got int 1",
            "a.yaml:12:14: flow[0].timeout: expected more than 0 seconds, got int 0",
            "a.yaml:13:11: flow[1].name: expected text, got int 1; quote it to make it text",
            "a.yaml:15:5: step needs a name",
            "a.yaml:15:13: flow[2].source: expected a name or a mapping, got a list",
            "a.yaml:16:5: flow[3]: expected a mapping, got text 'x'",
            "a.yaml:17:23: max_workers must be greater than 0",
            f"a.yaml:17:36: runner.timeout: expected {DURATION}, got text '5x'",
            "a.yaml:17:53: runner.allow_hosts: expected a list of host names, got text 'a'",
            "a.yaml:17:56: unknown key 'foo' in runner",
        ]

    @pytest.mark.parametrize(
        ("key", "problem"),
        [
            ("retry: 0", "flow[0].retry.attempts: expected a number from 1 to 100, got int 0"),
            (
                "retry: {jitter: 2}",
                "flow[0].retry.jitter: expected a number from 0 to 1, got int 2",
            ),
            ("retry: {on: timeout}", "flow[0].retry.on: expected a list, got text 'timeout'"),
            (
                "retry: fast",
                "flow[0].retry: expected a number of attempts or a mapping, got text 'fast'",
            ),
            (
                "retry: {on: [5x]}",
                f"unknown retry condition '5x'; use {CONDITIONS}",
            ),
            ("on_error: retry", "unknown on_error 'retry'; use fail, skip or continue"),
            ("foreach: 5", "flow[0].foreach: expected a list, a template or a mapping, got int 5"),
            (
                "foreach: flows.a.o",
                "flow[0].foreach.items: expected a list, a mapping or a template, got text 'flows.a.o'",
            ),
            ("foreach: {as: x}", "flow[0].foreach: items is missing"),
            (
                "foreach: {items: [], as: flows}",
                "flow[0].foreach.as: 'flows' already means something in templates",
            ),
            (
                "foreach: {items: [], as: a b}",
                "flow[0].foreach.as: expected a name such as user, got text 'a b'",
            ),
            (
                "matrix: {axes: {a: 1}}",
                "flow[0].matrix.axes.a: expected a list or a template, got int 1",
            ),
            ("matrix: {axes: {}}", "flow[0].matrix.axes: expected one axis or more"),
            (
                "matrix: {axes: {size: [1]}, exclude: [{siez: 1}]}",
                "flow[0].matrix.exclude[0]: 'siez' is no axis; did you mean 'size'?",
            ),
            ("concurrency: {limit: 1}", "flow[0].concurrency: group is missing"),
            (
                "concurrency: {group: g, limit: 0}",
                "flow[0].concurrency.limit: expected a number from 1 up, got int 0",
            ),
            ("timeout: -1", None),
            ("cache: true", "unknown key 'cache' in step 'a'"),
        ],
    )
    def test_of_a_step(self, wrong, key, problem):
        (line,) = wrong(STEP + f"    {key}\n")
        assert line.startswith("a.yaml:4:")
        if problem is not None:
            assert line.split(": ", 1)[1] == problem

    def test_names_that_are_empty_or_hold_control_characters(self, wrong):
        assert wrong('flow: [{name: "", source: env}, {name: "a\\tb", source: env}]') == [
            "a.yaml:1:8: step needs a name",
            "a.yaml:1:40: flow[1].name: expected text without control characters, got text 'a\\tb'",
        ]

    def test_sources_and_secrets(self, wrong):
        text = """\
        sources: {f: {configuration: {}}, h: x, e: {type: env, configuration: [a]}}
        secrets: {s: {env: 5}, t: {evn: X}}
        flow:
          - {name: a}
          - {name: b, source: {}}
          - {name: c, source: {base: e, override: {typ: 3}, merge: dep}}
        """
        assert wrong(text) == [
            "a.yaml:1:14: source 'f' needs a type",
            "a.yaml:1:38: sources.h: expected a mapping, got text 'x'",
            "a.yaml:1:71: sources.e.configuration: expected a mapping, got a list",
            "a.yaml:2:20: secrets.s.env: expected text, got int 5; quote it to make it text",
            "a.yaml:2:28: unknown key 'evn' in secret 't'; did you mean 'env'?",
            "a.yaml:4:5: step 'a' needs a source",
            "a.yaml:5:23: step 'b': its source needs a type",
            "a.yaml:6:44: unknown key 'typ' in source.override of step 'c'; did you mean 'type'?",
            "a.yaml:6:60: flow[2].source.merge: expected shallow or deep, got text 'dep'",
        ]

    def test_a_secret_is_one_of_two(self, wrong):
        assert wrong("secrets: {s: {}, t: {env: A, file: b}}") == [
            "a.yaml:1:14: secret 's': give it either env or file",
            "a.yaml:1:21: secret 't': give it either env or file",
        ]

    def test_null_is_not_given(self, checked):
        text = STEP + "    on_error:\n    retry: ~\n    output: null\n    when:\n"
        step = checked("params:\nrunner:\nsources: {e: }\n" + text).document.flow[0]
        assert (step.on_error, step.retry, step.output, step.when) == (None, None, [], None)

    def test_short_forms_are_long_ones(self, checked):
        text = STEP + "    retry: 5\n    foreach: [1]\n    depends_on: b\n    on_error: SKIP\n"
        step = checked(text + "  - {name: b, source: env}\n").document.flow[0]
        assert (step.retry.attempts, step.foreach.items, step.depends_on) == (5, [1], ["b"])
        assert step.on_error == "skip"
        assert step.foreach.path == ("flow", 0, "foreach")

    def test_conditions_of_a_retry(self, checked):
        text = (
            STEP + "    retry: {on: [429, '503', 5xx, 'exit:75', 'exit:-9', any], delay: 1m30s}\n"
        )
        retry = checked(text).document.flow[0].retry
        assert retry.on == (429, 503, "5xx", "exit:75", "exit:-9", "any")
        assert retry.delay == 90.0

    def test_a_duplicate_key_and_a_wrong_shape_at_once(self, wrong):
        assert wrong(STEP + "    name: b\n    zz: 1\n") == [
            "a.yaml:4:5: duplicate key 'name', first at 2:5",
            "a.yaml:5:5: unknown key 'zz' in step 'a'",
        ]

    def test_many_of_them_take_no_longer_each(self, wrong):
        text = "flow:\n" + "".join(f"  - {{name: s{i}, sorce: env}}\n" for i in range(2_000))
        assert len(wrong(text)) == 4_000


class TestSteps:
    def test_a_name_given_twice(self, wrong):
        assert wrong(STEP + "  - {name: a, source: env}\n") == [
            "a.yaml:4:5: duplicate step name 'a', first at 2:5"
        ]

    def test_a_name_given_twice_in_a_mapping(self, wrong):
        step = {"name": "a", "source": "env"}
        assert wrong({"flow": [step, step]}) == [
            "flow[1]: duplicate step name 'a', first at flow[0]"
        ]

    def test_foreach_and_matrix(self, wrong):
        text = STEP + "    foreach: [1]\n    matrix: {axes: {a: [1]}}\n"
        assert wrong(text) == ["a.yaml:5:5: step 'a': use foreach or matrix, not both"]

    def test_too_many_items(self, wrong):
        items = ",".join("1" * 100_001)
        assert wrong(STEP + f"    foreach: [{items}]\n") == [
            "a.yaml:4:14: flow[0].foreach: more than 100000 items"
        ]
        ten = "[" + "1," * 20 + "]"
        axes = ", ".join(f"{name}: {ten}" for name in "abcd")
        assert wrong(STEP + f"    matrix: {{axes: {{{axes}}}}}\n") == [
            "b.yaml:4:13: flow[0].matrix: more than 100000 items"
        ]

    def test_limits_of_a_group(self, wrong):
        text = "flow:\n" + "".join(
            f"  - {{name: {name}, source: env, concurrency: {{group: db{limit}}}}}\n"
            for name, limit in [
                ("a", ", limit: 2"),
                ("b", ", limit: 2"),
                ("c", ""),
                ("d", ", limit: 1"),
            ]
        )
        assert wrong(text) == [
            "a.yaml:4:41: concurrency group 'db' has limits 1 and 2",
            "a.yaml:5:60: concurrency group 'db' has limits 1 and 2",
        ]

    def test_workers(self, checked, wrong):
        assert checked(STEP).workers == 4
        assert checked(STEP, max_workers=0).workers == 4
        assert checked(STEP + "runner: {max_workers: 2}\n").workers == 2
        assert checked(STEP + "runner: {max_workers: 2}\n", max_workers=3).workers == 3
        assert checked(STEP + "runner: {max_workers: 0}\n").workers == 4
        assert wrong(STEP, max_workers=-1) == ["max_workers must be greater than 0"]


class TestSources:
    def test_unknown_types(self, wrong):
        text = """\
        sources: {e: {type: evn}, unused: {type: rst}}
        flow:
          - {name: a, source: e}
          - {name: b, source: e}
          - {name: c, source: nosuch}
          - {name: d, source: {type: proces}}
          - {name: f, source: {base: g}}
          - {name: h, source: {base: e, override: {type: zzz}}}
        """
        known = "Available providers: env, process, rest"
        assert wrong(text) == [
            f"a.yaml:1:21: Unknown provider type 'evn'. {known}; did you mean 'env'?",
            f"a.yaml:1:42: Unknown provider type 'rst'. {known}; did you mean 'rest'?",
            f"a.yaml:5:23: Unknown provider type 'nosuch'. {known}",
            f"a.yaml:6:30: Unknown provider type 'proces'. {known}; did you mean 'process'?",
            "a.yaml:7:30: source 'g' is not declared",
            f"a.yaml:8:50: Unknown provider type 'zzz'. {known}",
        ]

    def test_each_step_that_uses_a_wrong_one(self, wrong):
        text = """\
        sources: {r: {type: rest}}
        flow:
          - {name: a, source: r}
          - {name: b, source: r}
          - {name: c, source: nosuch}
          - {name: d, source: nosuch}
        """
        known = "Available providers: env, process, rest"
        assert wrong(text) == [
            "a.yaml:3:5: step 'a': rest needs a url in input or in configuration",
            "a.yaml:4:5: step 'b': rest needs a url in input or in configuration",
            f"a.yaml:5:23: Unknown provider type 'nosuch'. {known}",
            f"a.yaml:6:23: Unknown provider type 'nosuch'. {known}",
        ]

    def test_steps_that_share_one_share_its_configuration(self, checked):
        text = """\
        sources: {p: {type: process, configuration: {command: "echo {{ item }} {{ flows.a }}"}}}
        flow:
          - {name: a, source: env}
          - {name: b, source: p, foreach: [1]}
          - {name: c, source: p, foreach: [1]}
          - {name: d, source: p, foreach: [1], depends_on: a, input: x}
        """
        steps = checked(text).steps
        assert steps["b"].configuration is steps["c"].configuration
        assert [steps[name].after for name in "bcd"] == [("a",)] * 3

    def test_steps_that_read_a_command_otherwise_do_not_share_it(self, checked):
        text = """\
        sources: {p: {type: process, configuration: {command: echo a b}}}
        flow:
          - {name: a, source: p}
          - {name: b, source: p, input: {shell: true}}
          - {name: c, source: p}
        """
        steps = checked(text).steps
        rendered = [steps[name].configuration.render(Names(flows={})) for name in "abc"]
        assert [one["command"] for one in rendered] == [
            ["echo", "a", "b"],
            "echo a b",
            ["echo", "a", "b"],
        ]

    def test_a_name_that_only_some_steps_have(self, wrong):
        text = """\
        sources: {p: {type: process, configuration: {command: "echo {{ item }}"}}}
        flow:
          - {name: a, source: p, foreach: [1]}
          - {name: b, source: p}
        """
        (line,) = wrong(text)
        assert "'item' is undefined" in line

    def test_the_effective_configuration(self, checked):
        text = """\
        sources:
          p: {type: process, configuration: {command: [echo, a], env: {A: "1", B: "2"}, grace: 1s}}
        flow:
          - {name: a, source: p}
          - {name: b, source: {base: p, override: {configuration: {command: [b]}}}}
          - {name: c, source: {base: p, override: {configuration: {env: {B: "3"}}}, merge: deep}}
          - {name: d, source: {base: p, override: {type: env, configuration: {vars: [X]}}}}
          - {name: e, source: {base: p}}
        """
        steps = checked(text).steps
        rendered = {
            name: step.configuration.render(Names(flows={})) for name, step in steps.items()
        }
        whole = {"command": ["echo", "a"], "env": {"A": "1", "B": "2"}, "grace": "1s"}
        assert rendered["a"] == rendered["e"] == whole
        assert rendered["b"] == {"command": ["b"]}
        assert rendered["c"] == {**whole, "env": {"A": "1", "B": "3"}}
        assert rendered["d"] == {"vars": ["X"]}
        assert [step.provider.name for step in steps.values()] == [
            *["process"] * 3,
            "env",
            "process",
        ]

    def test_places_in_what_is_overridden(self, wrong):
        text = """\
        sources:
          p:
            type: process
            configuration:
              command: [echo, "{{ nope }}"]
              env: {A: 1}
        flow:
          - name: a
            source:
              base: p
              merge: deep
              override:
                configuration:
                  env: {B: "{{ bad }}"}
        """
        lines = [line.split(": ")[0] for line in wrong(text)]
        assert "a.yaml:5:23" in lines
        assert "a.yaml:14:20" in lines


class TestDependencies:
    def test_of_all_kinds(self, checked):
        text = """\
        sources:
          n: {type: process, configuration: {command: [echo, "{{ flows.a.o }}"]}}
        flow:
          - {name: e, source: n, depends_on: b}
          - {name: a, source: {type: process, configuration: {command: [x]}}, output: [{name: o}]}
          - {name: b, source: n, input: ["{{ flows['a'].o }}", {k: "{{ flows.a['o'] }}"}]}
          - {name: c, source: n, when: "flows.b", foreach: "{{ flows.a.o }}"}
          - name: d
            source: {base: n, override: {configuration: {command: ["{{ flows.c }}"]}}}
            matrix: {axes: {x: [1, "{{ flows.b }}"]}}
        """
        flow = checked(text)
        assert {name: step.after for name, step in flow.steps.items()} == {
            "e": ("a", "b"),
            "a": (),
            "b": ("a",),
            "c": ("a", "b"),
            "d": ("b", "c"),
        }
        assert flow.waves == (("a",), ("b",), ("e", "c"), ("d",))
        because = [(n.step, n.because, str(n.place)) for n in flow.steps["e"].needs]
        assert because == [
            ("b", "depends_on", "a.yaml:4:38"),
            ("a", "flows.a.o in configuration.command[1]", "a.yaml:2:54"),
        ]
        assert [n.because for n in flow.steps["c"].needs] == [
            "flows.a.o in configuration.command[1]",
            "flows.b in when",
            "flows.a.o in foreach.items",
        ]

    def test_that_are_missing(self, checked):
        text = """\
        flow:
          - {name: a, source: env, depends_on: [zz, yy, zz]}
          - {name: b, source: env, when: "flows.ww.o"}
        """
        with pytest.raises(FlowConfigError) as caught:
            checked(text)
        assert str(caught.value) == (
            "Flow configuration has invalid dependencies:\n"
            "  - Step 'a' depends on missing step(s): 'yy', 'zz'\n"
            "  - Step 'b' depends on missing step(s): 'ww'"
        )
        places = [str(one.place) for one in caught.value.problems]
        assert places == ["a.yaml:2:41", "a.yaml:3:34"]

    def test_that_are_missing_and_something_else(self, wrong):
        text = STEP + "    depends_on: nosuch\n    input: 5\n"
        assert wrong(text) == [
            "a.yaml:4:17: Step 'a' depends on missing step(s): 'nosuch'",
            "a.yaml:5:12: an env source takes no input",
        ]

    def test_circles(self, wrong):
        text = """\
        flow:
          - {name: z, source: env}
          - {name: a, source: env, depends_on: b}
          - {name: b, source: env, depends_on: [z, a]}
          - {name: d, source: env, depends_on: [a, d]}
        """
        assert wrong(text) == [
            "a.yaml:3:40: dependency cycle: a -> b -> a",
            "a.yaml:5:44: dependency cycle: d -> d",
        ]

    def test_outputs_that_are_not_declared(self, wrong):
        text = STEP + "  - {name: b, source: env, when: 'flows.a.o'}\n"
        assert wrong(text) == ["a.yaml:4:34: step 'a' has no output 'o'; it declares: none"]

    def test_a_chain_of_ten_thousand(self, checked):
        lines = ["flow:\n  - {name: s0, source: env}\n"]
        lines += [
            f"  - {{name: s{i}, source: env, depends_on: s{i - 1}}}\n" for i in range(1, 10_000)
        ]
        assert len(checked("".join(lines)).waves) == 10_000


class TestItems:
    def test_names_of_items(self, checked, wrong):
        base = "flow:\n  - name: a\n    source: {type: process, configuration: {command: [x]}}\n"
        checked(base + "    foreach: {items: [1], as: user}\n    input: '{{ user }} {{ index }}'\n")
        checked(base + "    matrix: {axes: {r: [1]}}\n    input: '{{ matrix.r }} {{ index }}'\n")
        (line,) = wrong(base + "    foreach: [1]\n    when: item\n    input: '{{ user }}'\n")[:1]
        assert "'item' is undefined" in line


class TestFlowtoy:
    TEXT = """\
    zzz: 1
    flow:
      - {name: a, source: env, retyr: 3}
      - {source: env}
      - {name: b, source: env, depends_on: a}
      - {name: a, source: env, description: last}
    """

    def test_is_wrong_without_it(self, wrong):
        assert len(wrong(self.TEXT)) == 3

    def test_warns(self, checked):
        flow = checked(self.TEXT, compat="flowtoy")
        assert [str(one) for one in flow.warnings] == [
            "a.yaml:1:1: warning: unknown key 'zzz' at the top level",
            "a.yaml:3:28: warning: unknown key 'retyr' in step 'a'; did you mean 'retry'?",
            "a.yaml:4:5: warning: step needs a name",
            "a.yaml:6:5: warning: duplicate step name 'a', first at 3:5",
        ]
        assert [*flow.steps] == ["b", "a"]
        assert flow.steps["a"].spec.description == "last"
        assert flow.steps["a"].place.line == 6

    def test_other_shapes_are_wrong_as_ever(self, wrong):
        lines = wrong(self.TEXT + "  - {name: c, source: env, when: 5}\n", compat="flowtoy")
        assert lines == [
            "a.yaml:7:34: flow[4].when: expected true, false or an expression, got int 5"
        ]


class TestWhole:
    def test_an_empty_flow(self, checked):
        flow = checked("")
        assert (flow.steps, flow.waves, flow.warnings) == ({}, (), ())

    def test_names_and_files(self, checked, files):
        assert checked(STEP).name == "a.yaml"
        assert checked("name: nightly\n" + STEP).name == "nightly"
        assert check({}).name == "flow"
        assert check([files(STEP, "x.yaml"), {}]).files == ("x.yaml", "")

    def test_problems_of_several_files(self, files):
        first = files("params: {n: {type: int, default: x}}\n" + STEP)
        second = files("runner: {on_error: nope}\n")
        with pytest.raises(FlowConfigError) as caught:
            check([first, second])
        assert [one.place.file for one in caught.value.problems] == ["b.yaml"]

    def test_the_steps_are_in_the_order_of_the_file(self, checked):
        names = ["".join(letters) for letters in itertools.permutations("xyz")]
        text = "flow:\n" + "".join(f"  - {{name: {name}, source: env}}\n" for name in names)
        flow = checked(text)
        assert [*flow.steps] == names
        assert [step.number for step in flow.steps.values()] == [*range(6)]
        assert str(flow.steps["xzy"].place) == "a.yaml:3:5"
