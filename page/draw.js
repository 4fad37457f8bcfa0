/** Drawing on canvases: the loss of a training, and a robot from the side. */

const METERS_ACROSS = 5; // of the robot's canvas
const BELOW_GROUND = 0.35; // meters of ground that are shown

/** A canvas's context in units of CSS pixels, cleared; with its width and height. */
function cleared(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const sharpness = window.devicePixelRatio || 1;
  canvas.width = width * sharpness;
  canvas.height = height * sharpness;
  const context = canvas.getContext('2d');
  context.scale(sharpness, sharpness);
  context.font = '12px sans-serif';
  return { context, width, height };
}

/** Draw the losses so far on an axis from 0 to `steps`, from 0 to the first loss. */
export function drawLoss(canvas, losses, steps, color) {
  const { context, width, height } = cleared(canvas);
  const [left, right, top, bottom] = [8, width - 8, 8, height - 8];
  context.strokeStyle = '#8884';
  context.strokeRect(left, top, right - left, bottom - top);
  if (!losses.length) return;
  const highest = Math.max(...losses);
  context.strokeStyle = color;
  context.lineWidth = 2;
  context.beginPath();
  losses.forEach((loss, step) => {
    context.lineTo(left + (right - left) * step / steps, bottom - (bottom - top) * loss / highest);
  });
  context.stroke();
}

/** Draw a robot, followed along x, on a ground with a mark at every meter. */
export function drawRobot(canvas, robot) {
  const { context, width, height } = cleared(canvas);
  const scale = width / METERS_ACROSS; // pixels per meter
  const center = robot.data.qpos[0];
  const x = (meters) => width / 2 + (meters - center) * scale;
  const y = (meters) => height - (meters + BELOW_GROUND) * scale;
  context.fillStyle = '#8883';
  context.fillRect(0, y(0), width, height);
  context.fillStyle = context.strokeStyle = '#888';
  for (let mark = Math.ceil(center - METERS_ACROSS / 2); mark <= center + METERS_ACROSS / 2; mark++) {
    context.fillRect(x(mark), y(0), 1, 6);
    context.fillText(`${mark} m`, x(mark) + 3, y(0) + 16);
  }
  context.lineCap = 'round';
  // a darker outline under each part, so that limbs stay apart
  for (const { from, to, radius, color } of robot.shapes()) {
    for (const [stroke, more] of [['#0008', 2], [color, 0]]) {
      context.strokeStyle = stroke;
      context.lineWidth = 2 * radius * scale + more;
      context.beginPath();
      context.moveTo(x(from[0]), y(from[1]));
      context.lineTo(x(to[0]) + 1e-3, y(to[1])); // a line without length would not be drawn
      context.stroke();
    }
  }
}
