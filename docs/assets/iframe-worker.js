// Browsers refuse workers in pages that are opened from a folder (file://). There, the search runs in a hidden frame.
if (location.protocol === "file:")
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.srcdoc = "<!doctype html>"
      this.ready = new Promise(resolve => {
        frame.onload = async () => {
          const inside = frame.contentWindow
          inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
          inside.importScripts = async (...urls) => {
            for (const each of urls) await load(inside.document, each)
          }
          await load(inside.document, url)
          resolve(inside)
        }
      })
      document.documentElement.append(frame)
    }

    async postMessage(data) {
      const inside = await this.ready
      inside.dispatchEvent(new inside.MessageEvent("message", { data }))
    }
  }

function load(target, url) {
  return new Promise(resolve => {
    const script = target.createElement("script")
    script.src = url
    script.onload = resolve
    target.head.append(script)
  })
}
