/** An order that is drawn anew each time, so that nobody is always measured after the same one. */
export function shuffled(items) {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .sort((left, right) => left.place - right.place)
    .map(({ item }) => item);
}
