// Filters of the scoreboard. Without JavaScript the table is complete and readable.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".lr-board").forEach((board) => {
    const rows = [...board.querySelectorAll("tbody tr")];
    const bar = board.querySelector(".lr-filters");
    const count = board.querySelector(".lr-count");
    if (!bar || !rows.length) return;
    const fields = ["chapter", "kind", "verdict"];
    const controls = fields.map((field) => {
      const label = document.createElement("label");
      label.textContent = field[0].toUpperCase() + field.slice(1);
      const select = document.createElement("select");
      select.dataset.field = field;
      select.append(new Option("all", ""));
      [...new Set(rows.map((row) => row.dataset[field]))].forEach((value) => select.append(new Option(value, value)));
      label.append(select);
      bar.append(label);
      return select;
    });
    const label = document.createElement("label");
    label.textContent = "Contains";
    const text = document.createElement("input");
    text.type = "search";
    label.append(text);
    bar.append(label);
    const apply = () => {
      const needle = text.value.trim().toLowerCase();
      let shown = 0;
      rows.forEach((row) => {
        const fits = controls.every((c) => !c.value || row.dataset[c.dataset.field] === c.value);
        row.hidden = !(fits && (!needle || row.textContent.toLowerCase().includes(needle)));
        shown += !row.hidden;
      });
      count.textContent = `${shown} of ${rows.length} claims`;
    };
    [...controls, text].forEach((control) => control.addEventListener("input", apply));
    apply();
  });
});
