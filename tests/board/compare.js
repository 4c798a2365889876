// Compares two pictures of a page, an older and a newer one, by the colours of small squares. Both are PNG in base64.
// A square of one has to be found in the other, at its place or near it: a font moves things a little.
// The newer one is drawn in the older one's size. `limits` are in pixels of the older one, `colour` in 255ths.
async (older, newer, limits) => {
  const load = async (data) => {
    const image = new Image();
    image.src = `data:image/png;base64,${data}`;
    await image.decode();
    return image;
  };
  const [old, fresh] = [await load(older), await load(newer)];
  const { width, height } = old;
  const { square, across, along, colour } = limits;

  // The mean colour of the square at a place, by sums over all that is left of and above each pixel.
  const meansOf = (image) => {
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context.drawImage(image, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    const line = width + 1;
    const sums = [0, 1, 2].map((channel) => {
      const sum = new Float64Array(line * (height + 1));
      for (let y = 0; y < height; y++) {
        for (let x = 0, row = 0; x < width; x++) {
          row += data[4 * (y * width + x) + channel];
          sum[(y + 1) * line + x + 1] = sum[y * line + x + 1] + row;
        }
      }
      return sum;
    });
    return (x, y, channel) => {
      const [top, bottom] = [y * line + x, (y + square) * line + x];
      const sum = sums[channel];
      return (sum[bottom + square] - sum[top + square] - sum[bottom] + sum[top]) / square ** 2;
    };
  };

  // The squares of one picture that are not found in the other, and how far the farthest is from what was found.
  const missing = (one, other) => {
    const apart = (x, y, u, v) => Math.max(...[0, 1, 2].map((channel) => Math.abs(one(x, y, channel) - other(u, v, channel))));
    const nearest = (x, y) => {
      let least = apart(x, y, x, y);
      for (let v = Math.max(y - along, 0); v <= Math.min(y + along, height - square) && least > colour; v++) {
        for (let u = Math.max(x - across, 0); u <= Math.min(x + across, width - square); u++) {
          least = Math.min(least, apart(x, y, u, v));
        }
      }
      return least;
    };
    const found = [];
    for (let y = 0; y + square <= height; y += square) {
      for (let x = 0; x + square <= width; x += square) {
        const away = nearest(x, y);
        if (away > colour) found.push({ x, y, away });
      }
    }
    return found;
  };

  const [a, b] = [meansOf(old), meansOf(fresh)];
  const [lost, strange] = [missing(a, b), missing(b, a)];

  // Both pictures beside each other, with frames around what the other one does not have.
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * width, height];
  const context = canvas.getContext("2d");
  [[old, lost], [fresh, strange]].forEach(([image, squares], at) => {
    context.drawImage(image, at * width, 0, width, height);
    context.strokeStyle = "red";
    squares.forEach(({ x, y }) => context.strokeRect(at * width + x + 0.5, y + 0.5, square - 1, square - 1));
  });
  return {
    sizes: [[old.width, old.height], [fresh.width, fresh.height]],
    differing: lost.length + strange.length,
    worst: Math.max(0, ...[...lost, ...strange].map(({ away }) => away)),
    picture: canvas.toDataURL("image/png").split(",")[1],
  };
}
