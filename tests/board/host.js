// A host that shows the board, by the reference bridge of MCP Apps. What the page asks for waits until the test answers.
import { AppBridge, PostMessageTransport } from "host-bridge";

// what a page sends whose scripts nothing holds back
addEventListener("message", ({ data }) => { if (data === "taken") window.taken = true; });

window.start = async (html, capabilities) => {
  const frame = document.querySelector("iframe");
  const bridge = new AppBridge(null, { name: "host", version: "1" }, capabilities);
  const waiting = [];
  window.asked = [];
  const passed = (method) => (params) => new Promise((answer, refuse) => {
    window.asked.push([method, params]);
    waiting.push({ answer, refuse });
  });
  bridge.onreadresource = passed("resources/read");
  bridge.oncalltool = passed("tools/call");
  window.answer = (result, at = 0) => waiting.splice(at, 1)[0].answer(result);
  window.refuse = (text) => waiting.shift().refuse(new Error(text));
  bridge.onsizechange = ({ height }) => { window.size = height; };
  window.call = () => bridge.sendToolResult({ content: [{ type: "text", text: "a result" }] });
  bridge.oninitialized = () => bridge.sendToolInput({ arguments: {} }).then(window.call);
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  frame.srcdoc = html;
};
