// Tables sort by any column: numbers by their value, the rest as text; empty cells stay last.
"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const numeric = [...body.rows].some((row) => row.cells[column].dataset.value !== undefined);
      const before = heading.getAttribute("aria-sort");
      // The first click shows what one looks for first: the largest number, or the first name.
      const down = before ? before === "ascending" : numeric;
      const key = (row) => {
        const cell = row.cells[column];
        return numeric ? parseFloat(cell.dataset.value ?? "NaN") : cell.textContent.trim();
      };
      const empty = (value) => value === "" || Number.isNaN(value);
      const compare = (one, other) =>
        numeric ? one - other : one.localeCompare(other, "en", { numeric: true });
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort(([one], [other]) =>
        empty(one) || empty(other) ? empty(one) - empty(other) : (down ? -1 : 1) * compare(one, other));
      body.append(...rows.map(([, row]) => row));
      headings.forEach((each) => each.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
}
// Paper cannot be unfolded.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
