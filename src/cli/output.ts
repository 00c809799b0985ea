import cliProgress from 'cli-progress'

/** Writes to standard output and waits until it is taken, so that a pipe gets all of it before the program ends. */
export const print = (text: string): Promise<void> => new Promise((done, failed) =>
  process.stdout.write(text, error => error && (error as NodeJS.ErrnoException).code !== 'EPIPE' ? failed(error) : done()))

export const printJson = (value: unknown): Promise<void> => print(`${JSON.stringify(value)}\n`)

/** A line for people, beside the data. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

export interface Bar { update(done: number, total: number): void; stop(): void }

/** A progress bar on standard error where that is a terminal; nothing elsewhere. */
export function progressBar(label: string, unit: string, shown: boolean): Bar {
  if (!shown || !process.stderr.isTTY) return { update() {}, stop() {} }
  const bar = new cliProgress.SingleBar({
    stream: process.stderr, clearOnComplete: true, hideCursor: true, linewrap: false, barsize: 24,
    format: `${label} {bar} {value}/{total} ${unit} · {rate} ${unit}/s · {left} left`,
  })
  const started = performance.now()
  let running = false
  return {
    update(done, total) {
      const seconds = (performance.now() - started) / 1e3
      const rate = done / Math.max(seconds, 1e-3)
      const left = (total - done) / Math.max(rate, 1e-9)
      const shownState = { rate: rate.toFixed(rate < 10 ? 1 : 0), left: `${left.toFixed(left < 10 ? 1 : 0)} s` }
      if (running) bar.update(Math.round(done), shownState)
      else bar.start(Math.round(total), Math.round(done), shownState)
      running = true
    },
    stop() {
      if (running) bar.stop()
      running = false
    },
  }
}

/** The two phases of a trial of methods, one bar after the other. */
export function trialBars(shown: boolean): { update(phase: 'reading' | 'asking', done: number, total: number): void; stop(): void } {
  const bars = { reading: progressBar('reading', 'tokens', shown), asking: progressBar('asking', 'answers', shown) }
  return {
    update(phase, done, total) {
      if (phase === 'asking') bars.reading.stop()
      bars[phase].update(done, total)
    },
    stop() {
      bars.reading.stop()
      bars.asking.stop()
    },
  }
}

/** A text from a file for a terminal: what would steer it is shown as U+FFFD. */
export const plain = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd')

/** Columns aligned: the first `left` to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[], { left = 1 } = {}): string {
  const widths = rows[0]!.map((_, c) => Math.max(...rows.map(row => (row[c] ?? '').length)))
  return rows.map(row => row.map((cell, c) => c < left ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!)).join('  ').trimEnd()).join('\n')
}

/** Bytes as people read them. */
export const bytesText = (bytes: number): string => bytes < 1e3 ? `${bytes} B` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`
