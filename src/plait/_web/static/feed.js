// Listens to the server, or asks it again and again where it shows the run of another process.

const PACE = 500;

export class Feed {
  // hear(event, data) gets "whole", "change", "board" and "trouble"; stand(state, text) what to say of
  // the connection: "open", "lost", "ended" or "refused".
  constructor(run, { hear, stand, remote }) {
    this.run = run;
    this.hear = hear;
    this.stand = stand;
    this.closed = false;
    if (remote) this.ask();
    else this.listen();
  }

  close() {
    this.closed = true;
    this.source?.close();
    clearTimeout(this.timer);
  }

  listen() {
    const source = new EventSource(`api/events?run=${encodeURIComponent(this.run)}`);
    this.source = source;
    source.onopen = () => this.stand("open", "");
    source.onerror = () => {
      if (this.closed) return;
      if (source.readyState === EventSource.CLOSED) {
        this.stand("refused", "The server refuses this window. Open the address that plait has printed.");
      } else {
        this.stand("lost", "Connection lost; trying again. What is shown may be old.");
      }
    };
    for (const name of ["whole", "change", "board", "trouble"]) {
      source.addEventListener(name, (event) => this.hear(name, JSON.parse(event.data)));
    }
    source.addEventListener("bye", () => {
      this.close();
      this.stand("ended", "The server has ended. What is shown is the last that it said.");
    });
  }

  async ask() {
    let after = null;
    let version = null;
    const step = async () => {
      try {
        const query = new URLSearchParams({ run: this.run });
        if (after !== null) query.set("after", after);
        const answer = await fetch(`api/changes?${query}`);
        const found = await answer.json();
        if (this.closed) return;
        if (!answer.ok) {
          this.stand("lost", found.error ?? `the server says ${answer.status}`);
        } else {
          this.stand("open", "");
          for (const one of found.messages) {
            after = one.id;
            this.hear(one.event, one.data);
          }
          if (found.version !== version) {
            version = found.version;
            const board = await fetch("api/board");
            if (board.ok) this.hear("board", await board.json());
          }
        }
      } catch (error) {
        this.stand("lost", `Connection lost; trying again. (${error.message})`);
      }
      if (!this.closed) this.timer = setTimeout(step, PACE);
    };
    await step();
  }
}

// Presses a button of the server. The answer, or an error that says why not.
export async function press(deed, fields) {
  const answer = await fetch(`api/${deed}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(fields),
  });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const error = new Error(found.error ?? `the server says ${answer.status}`);
    throw Object.assign(error, { fields: found.fields });
  }
  return found;
}
