"""The machinery that runs the pages: what it must notice, and what it must not."""

import sys
import textwrap
import time

import pytest
import trio


@pytest.fixture
def check(tmp_path, check_page):
    def check(text):
        page = tmp_path / "page.md"
        page.write_text(textwrap.dedent(text))
        check_page(page)

    return check


def test_blocks_share_one_namespace_and_are_main(check):
    check("""
        ```python
        names = [__name__]
        ```

        - In a list:

          ```python
          class Local: ...
          names.append(Local.__module__)
          ```

        ```python
        assert names == ["__main__", "__main__"]
        if __name__ != "__main__":
            raise AssertionError
        ```
    """)


def test_a_block_that_fails_is_shown_by_page_and_line(check):
    with pytest.raises(ZeroDivisionError) as caught:
        check("""
            # Title

            ```python
            one = 1
            one / 0
            ```
        """)
    shown = str(caught.getrepr())
    assert "page.md:6: ZeroDivisionError" in shown
    assert ">   one / 0" in shown


def test_output_must_be_what_was_printed(check):
    page = """
        ```python
        print("one")
        print("two  ")
        ```

        It prints:

        <!-- output -->
        ```text
        one
        two
        ```
    """
    check(page)
    with pytest.raises(pytest.fail.Exception) as caught:
        check(page.replace("        two\n        ```", "        three\n        ```"))
    assert "page.md:9: this is not what the block prints" in str(caught.value)
    assert "-three\n+two" in str(caught.value)


def test_text_without_the_mark_is_not_compared(check):
    check("""
        ```python
        print("one")
        ```

        ```text
        anything
        ```
    """)


def test_output_is_that_of_the_last_block_only(check):
    page = """
        ```python
        print("one")
        ```

        ```python
        print("two")
        ```

        <!-- output -->
        ```text
        two
        ```
    """
    check(page)
    with pytest.raises(pytest.fail.Exception):
        check(page.replace("        two\n        ```", "        one\n        two\n        ```"))


def test_a_mark_without_a_block_is_an_error(check):
    with pytest.raises(ValueError, match="no ```text block follows <!-- output -->"):
        check("""
            ```python
            print(1)
            ```

            <!-- output -->
            ```
            1
            ```
        """)


def test_output_before_any_block_is_an_error(check):
    with pytest.raises(pytest.fail.Exception, match="no Python block"):
        check("""
            <!-- output -->
            ```text
            1
            ```
        """)


def test_skipping(check):
    check("""
        <!-- skip: next -->
        ```python
        raise AssertionError
        ```

        <!-- skip: start -->
        ```python
        raise AssertionError
        ```

        ```python
        raise AssertionError
        ```
        <!-- skip: end -->

        ```python
        print("it goes on")
        ```

        <!-- output -->
        ```text
        it goes on
        ```
    """)


@pytest.mark.parametrize("run", ["trio.run(main)", 'anyio.run(main, backend="trio")'])
def test_time_is_virtual(check, run):
    start = time.monotonic()
    check(f"""
        ```python
        import anyio
        import trio

        async def main():
            start = trio.current_time()
            await trio.sleep(3600)
            print(trio.current_time() - start)

        {run}
        ```

        <!-- output -->
        ```text
        3600.0
        ```
    """)
    assert time.monotonic() - start < 60


def test_the_source_of_a_page_can_be_asked_for(check):
    check("""
        Not Python: `1 +`.

        ```python
        import inspect

        class Local:
            pass

        def function(): return 1
        ```

        ```python
        assert inspect.getsource(Local).startswith("class Local:")
        assert inspect.getsourcelines(Local)[1] == 7
        assert inspect.getsource(function) == "def function(): return 1\\n"
        ```
    """)


def test_nothing_of_a_page_stays(check):
    main, run = sys.modules["__main__"], trio.run
    check("""
        ```python
        left = "behind"
        ```
    """)
    assert sys.modules["__main__"] is main
    assert not hasattr(main, "left")
    assert trio.run is run


def test_time_stands_still_while_a_journal_is_written(check):
    check("""
        ```python
        import tempfile
        import trio
        from plait import StartEvent, StopEvent, Workflow, step

        class Short(Workflow):
            @step
            async def only(self, ev: StartEvent) -> StopEvent:
                return StopEvent(result=trio.current_time())

        async def main():
            with tempfile.TemporaryDirectory() as folder:
                run = Short(journal=f"{folder}/runs.db").run()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep, 60)
                    begun = trio.current_time()
                    print(await run - begun, trio.current_time() - begun)
                print(trio.current_time() - begun)

        trio.run(main)
        ```

        <!-- output -->
        ```text
        0.0 0.0
        60.0
        ```
    """)
