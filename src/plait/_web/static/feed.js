// Listens to the server, or asks it again and again: of the run of another process, and while nobody sees
// the window. A browser has six connections to a server for all of its windows, and who listens holds one.

const PACE = 500;
const PACE_HIDDEN = 2000;
const PACE_LOST = 1000;
const LOOKS = 4; // so often it is asked what happens before it is asked which runs there are: a journal may have others
const REFUSED = "The server refuses this window. Open the address that plait has printed.";
const LOST = "Connection lost; trying again. What is shown may be old.";
const GONE = "The server has no such run. Perhaps it was started anew.";

export class Feed {
  // hear(event, data) gets "whole", "change", "board" and "trouble"; stand(state, text) what to say of
  // the connection: "open", "lost", "gone", "ended" or "refused".
  constructor(run, { hear, stand, remote }) {
    this.run = run;
    this.hear = hear;
    this.stand = stand;
    this.remote = remote;
    this.closed = false;
    this.after = null; // the place of the last message
    this.version = null; // of the board
    this.looks = 0; // since then
    this.turns = 0; // what was asked for before the last turn is not heard any more
    this.turned = () => this.begin();
    if (!remote) document.addEventListener("visibilitychange", this.turned);
    this.begin();
  }

  close() {
    this.closed = true;
    document.removeEventListener("visibilitychange", this.turned);
    this.pause();
  }

  pause() {
    this.turns += 1;
    this.source?.close();
    clearTimeout(this.timer);
  }

  begin() {
    this.pause();
    if (this.remote || document.hidden) this.ask();
    else this.listen();
  }

  take(id, event, data) {
    this.after = id || this.after;
    this.hear(event, data);
  }

  query() {
    const query = new URLSearchParams({ run: this.run });
    if (this.after !== null) query.set("after", this.after);
    return query;
  }

  listen() {
    const source = new EventSource(`api/events?${this.query()}`);
    this.source = source;
    source.onopen = () => this.stand("open", "");
    source.onerror = () => {
      if (source !== this.source || this.closed) return;
      if (source.readyState === EventSource.CLOSED) this.find();
      else this.stand("lost", LOST);
    };
    for (const name of ["whole", "change", "board", "trouble"]) {
      source.addEventListener(name, (event) => {
        if (!this.closed) this.take(event.lastEventId, name, JSON.parse(event.data));
      });
    }
    source.addEventListener("bye", () => {
      this.close();
      this.stand("ended", "The server has ended. What is shown is the last that it said.");
    });
  }

  // Finds out why there is nothing to listen to: of that an event source says nothing.
  async find() {
    const turn = this.turns;
    let status = 0;
    let text = LOST;
    try {
      const answer = await fetch(`api/changes?${this.query()}`);
      status = answer.status;
      if (!answer.ok) text = (await answer.json()).error ?? text;
    } catch {
      // Nobody answers: it is tried again.
    }
    if (turn !== this.turns) return;
    if ([401, 403, 421].includes(status)) this.stand("refused", REFUSED);
    else if (status === 404 && this.run) await this.miss();
    else {
      this.stand("lost", text);
      this.timer = setTimeout(this.turned, PACE_LOST);
    }
  }

  // The server was started anew, or has let the run go. Perhaps there is another one to look at.
  async miss() {
    const turn = this.turns;
    await this.board().catch(() => {});
    if (turn === this.turns) this.stand("gone", GONE);
  }

  async board() {
    const turn = this.turns;
    const answer = await fetch("api/board?picture=no");
    const board = await answer.json();
    if (answer.ok && turn === this.turns) this.hear("board", board);
  }

  async ask() {
    const turn = this.turns;
    try {
      const answer = await fetch(`api/changes?${this.query()}`);
      const found = await answer.json();
      if (turn !== this.turns) return;
      if (answer.ok) {
        this.stand("open", "");
        for (const one of found.messages) {
          if (turn !== this.turns) return;
          this.take(one.id, one.event, one.data);
        }
        this.looks += 1;
        if (found.version !== this.version || this.looks >= LOOKS) {
          this.version = found.version;
          this.looks = 0;
          await this.board();
        }
      } else if (answer.status === 404 && !this.run) { // there is no run yet
        this.stand("open", "");
        await this.board();
      } else if (this.remote && answer.status !== 404) {
        this.stand("lost", found.error ?? `the server says ${answer.status}`);
      } else {
        await this.find();
        return;
      }
    } catch (error) {
      if (turn === this.turns) this.stand("lost", `Connection lost; trying again. (${error.message})`);
    }
    if (turn === this.turns) this.timer = setTimeout(this.turned, this.remote ? PACE : PACE_HIDDEN);
  }
}

// Presses a button of the server. The answer, or an error that says why not.
export async function press(deed, fields) {
  const answer = await fetch(`api/${deed}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(fields),
  }).catch(() => {
    throw new Error("The server does not answer: perhaps nothing has come of this.");
  });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const error = new Error(found.error ?? `the server says ${answer.status}`);
    throw Object.assign(error, { fields: found.fields });
  }
  return found;
}
