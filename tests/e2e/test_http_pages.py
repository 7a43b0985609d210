"""A web page of another site, in a real browser on the machine that the mirror runs on, tries every route by form, fetch, image and the rest: nothing changes."""
import http.server
import json
import shutil
import subprocess
import threading

import pytest

from oracle import process
from oracle.mirror import SLOW
from test_http_security import Guarded

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

PAGE = """<!doctype html><meta charset=utf-8><title>other site</title><body><script>
const attacks = %s, base = %s, types = ['text/plain', 'application/x-www-form-urlencoded', 'application/json', null];
const seen = {fetch: 0, read: 0, form: 0, image: 0, beacon: 0};
const settle = p => Promise.race([p.catch(() => null), new Promise(done => setTimeout(done, 5000))]);
async function tryFetch(a, mode, type, credentials) {
  const headers = type === null ? {} : {'Content-Type': type};
  const body = a.body === null ? undefined : type === null ? new Blob([a.body]) : a.body;
  const plain = ['GET', 'POST'].includes(a.method);
  if (mode === 'no-cors' && !plain) return;
  seen.fetch++;
  const r = await settle(fetch(base + a.path, {method: a.method, mode, headers: mode === 'no-cors' && type === 'application/json' ? {} : headers, body: a.method === 'GET' ? undefined : body, credentials}));
  if (r && r.type !== 'opaque') seen.read++;
}
function element(name, members) { const e = document.createElement(name); Object.assign(e, members); document.body.append(e); return e; }
function loaded(e) { return settle(new Promise(done => { e.onload = e.onerror = done; })); }
async function tryForm(a, enctype, n) {
  seen.form++;
  const frame = element('iframe', {name: 'f' + n});
  const form = element('form', {method: a.method === 'GET' ? 'get' : 'post', action: base + a.path, enctype, target: frame.name});
  const half = (a.body || '{}').replace(/}\\s*$/, '');         // {"a": 1, "x=": "y"} is JSON as text/plain
  form.append(Object.assign(document.createElement('input'), {type: 'hidden', name: enctype === 'text/plain' ? (half + ', "description":"') : 'x', value: enctype === 'text/plain' ? '"}' : a.body || ''}));
  const wait = loaded(frame);
  form.submit();
  await wait;
}
(async () => {
  let n = 0;
  for (const a of attacks) {
    const all = [];
    for (const type of types) for (const mode of ['cors', 'no-cors']) for (const credentials of ['include', 'omit']) all.push(tryFetch(a, mode, type, credentials));
    for (const tag of ['img', 'script', 'iframe']) { seen.image++; all.push(loaded(element(tag, {src: base + a.path}))); }
    if (a.body !== null) { seen.beacon++; navigator.sendBeacon(base + a.path, new Blob([a.body], {type: 'text/plain'})); navigator.sendBeacon(base + a.path, a.body); }
    for (const enctype of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) all.push(tryForm(a, enctype, n++));
    await Promise.all(all);
  }
  await fetch('/done', {method: 'POST', body: JSON.stringify(seen)});
})().catch(e => fetch('/done', {method: 'POST', body: JSON.stringify({error: String(e)})}));
</script>"""


class OtherSite(http.server.ThreadingHTTPServer):
    """Serves the page, and is told when it is through."""

    def __init__(self, page):
        site = self
        self.page, self.told = page.encode(), None

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self, body):
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.answer(site.page)

            def do_POST(self):
                site.told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer(b"")

            def log_message(self, *arguments):
                pass
        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


def visit(url, folder, site):
    browser = next((b for b in map(shutil.which, BROWSERS) if b), None)
    assert browser, f"no browser: install one of {', '.join(BROWSERS)} (scripts/setup test does)"
    log = folder / "browser.log"
    with open(log, "wb") as out:
        child = subprocess.Popen([browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                                  "--disable-component-update", "--host-resolver-rules=MAP rebound.example 127.0.0.1", f"--user-data-dir={folder}/browser", url],
                                 stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        process.poll(lambda: site.told, 90 * SLOW, "the page to be through", context=lambda: process.tail(log, 20))
    finally:
        child.terminate()
        child.wait()


@pytest.mark.parametrize("name", ["localhost", "rebound.example"])
def test_a_page_of_another_site_changes_nothing(folder, name):
    """As a page of another name and port of this machine, and with a name of its own that was made to point at the mirror."""
    m = Guarded(folder)
    m.start()
    before = m.fill().state()
    attacks = [{"method": method, "path": path, "body": text} for method, path, text in m.attacks()]
    target = f"http://{'127.0.0.1' if name == 'localhost' else name}:{m.port}"
    site = OtherSite(PAGE % (json.dumps(attacks), json.dumps(target)))
    try:
        visit(f"http://{name}:{site.server_port}/", folder, site)
    finally:
        site.shutdown()
        site.server_close()
    assert "error" not in site.told, site.told
    assert site.told["fetch"] >= 8 * len(attacks) and site.told["form"] == 3 * len(attacks), site.told     # it did try
    assert site.told["read"] == 0                                                                         # and could read no answer
    assert m.state() == before
    m.kill()
