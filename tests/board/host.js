// A host that shows the board, by the reference bridge of MCP Apps; what the server would answer is given to it.
import { AppBridge, PostMessageTransport } from "host-bridge";

// what a page sends whose scripts nothing holds back
addEventListener("message", ({ data }) => { if (data === "taken") window.taken = true; });

window.start = async (html, contents) => {
  const frame = document.querySelector("iframe");
  const bridge = new AppBridge(null, { name: "host", version: "1" }, { serverResources: {} });
  window.asked = [];
  bridge.onreadresource = async ({ uri }) => {
    const text = contents[window.asked.push(uri) - 1];
    if (text === undefined) throw new Error("made-up failure");
    return { contents: [{ uri, mimeType: "text/html", text }] };
  };
  bridge.onsizechange = ({ height }) => { window.size = height; };
  window.call = () => bridge.sendToolResult({ content: [{ type: "text", text: "a result" }] });
  bridge.oninitialized = () => bridge.sendToolInput({ arguments: {} }).then(window.call);
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  frame.srcdoc = html;
};
