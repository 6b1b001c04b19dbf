#!/usr/bin/env python3
"""The page of a server that asks for a key: the dialog, a wrong key, the right one, another window. Usage: key_test.py URL KEY."""

import sys

import browser as driver


def main():
    url, key = sys.argv[1:3]
    path = driver.find()
    if path is None:
        print("skipped: no Chromium was found (apt-get install chromium, or CHROMIUM=path)")
        return
    page = driver.Browser(path)
    try:
        page.open(url + "/")
        page.wait("document.querySelector('#key-dialog').open")
        assert page.evaluate("document.activeElement.id") == "key"
        page.type("wrong")
        page.press("Enter")
        page.wait("document.querySelector('#key-text').textContent.includes('does not take') && document.querySelector('#key-dialog').open")
        page.evaluate("(document.querySelector('#key').select(), document.querySelector('#key-stays').click(), document.querySelector('#key').focus(), true)")
        page.type(key)
        page.press("Enter")
        page.wait("document.querySelector('#facts').textContent.includes('parameters') && !document.querySelector('#key-dialog').open")
        page.call("Page.reload")
        page.wait("document.querySelector('#facts')?.textContent.includes('parameters')")
        assert not page.evaluate("document.querySelector('#key-dialog').open"), "a key that was kept is asked for again"
        page.evaluate("(document.querySelector('#input').focus(), true)")
        page.type("The fox")
        page.press("Enter", driver.CONTROL)
        page.wait("document.querySelector('.meta')")
        assert not page.evaluate("document.querySelector('.fault')?.textContent")
    except AssertionError as error:
        print(f"failed: {error}", file=sys.stderr)
        sys.exit(1)
    finally:
        page.close()
    print("the page asks for a key, refuses a wrong one and keeps the right one")


if __name__ == "__main__":
    main()
