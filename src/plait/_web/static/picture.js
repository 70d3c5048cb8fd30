// Which picture there is to see: that of the run's graph, or of the part around a step, if all of it is too
// large. It is asked for when another run or step is looked at, and while the records say more.

const PACE = 2000;

export class Picture {
  constructor(graph, about, draw) {
    this.graph = graph;
    this.about = about;
    this.redraw = draw;
    this.asked = 0;
    this.timer = null;
    this.forget(null);
  }

  // Forgets the run; shows a picture, if one is given, until that of another run is there.
  forget(picture) {
    this.run = null;
    this.around = null;
    this.answered = null;
    this.count = -1;
    this.at = 0;
    this.asked += 1; // what is under way is of another run
    this.busy = false;
    if (picture !== undefined) this.take(picture);
  }

  get large() {
    return Boolean(this.picture?.large);
  }

  // Draws what is around a step, if there is too much to draw all of it.
  centre(step) {
    if (!this.large || step === this.around) return;
    this.around = step;
    this.count = -1;
    this.ask();
  }

  show(model) {
    if (model.run === null) return;
    if (this.run !== model.run.id) {
      this.run = model.run.id;
      this.count = -1;
    }
    const grown = this.picture?.of !== "plan" && (model.count !== this.count || model.over !== this.over);
    const known = this.answered === this.key();
    if (this.busy || (known && !grown)) return;
    const left = PACE - (performance.now() - this.at);
    if (known && left > 0) {
      this.timer ??= setTimeout(() => { this.timer = null; this.redraw(); }, left);
      return;
    }
    this.over = model.over;
    this.ask(model.count);
  }

  key() {
    return JSON.stringify([this.run, this.around]);
  }

  async ask(count = this.count) {
    const key = this.key();
    const number = this.asked += 1;
    this.busy = true;
    this.count = count;
    this.at = performance.now();
    let text = "";
    let found = null;
    try {
      const query = new URLSearchParams({ run: this.run ?? "" });
      if (this.around !== null) query.set("around", this.around);
      const answer = await fetch(`api/picture?${query}`);
      const told = await answer.json();
      if (answer.ok) found = told.picture;
      else text = told.error ?? `the server says ${answer.status}`;
    } catch (error) {
      text = error.message;
    }
    if (number !== this.asked) return;
    this.busy = false;
    this.answered = key;
    if (text) this.say(`This cannot be drawn: ${text}`);
    else this.take(found);
    this.redraw();
  }

  take(picture) {
    this.picture = picture;
    this.graph.draw(picture);
    this.say(picture ? picture.about ?? "" : "There is no picture of this run yet.");
  }

  say(text) {
    this.about.hidden = text === "";
    if (this.about.textContent !== text) this.about.textContent = text;
  }
}
