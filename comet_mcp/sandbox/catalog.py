"""The models of the sandbox: some thirty believable entries with prices in US dollars."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the catalog. Prices are US dollars: per million tokens, per call or per second of output."""

    id: str
    provider: str
    type: str = "text"
    input: float | None = None
    output: float | None = None
    per_request: float | None = None
    per_second: float | None = None
    features: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """The id as the documentation's addresses have it."""
        return self.id.replace(".", "-")

    def entry(self) -> dict[str, Any]:
        """The model as `GET /api/models` documents it."""
        return {
            "id": self.id,
            "code": self.code,
            "provider": self.provider,
            "model_type": self.type,
            "features": list(self.features),
            "pricing": {
                "currency": "USD",
                "input": self.input,
                "output": self.output,
                "per_request": self.per_request,
                "per_second": self.per_second,
            },
            "api_doc_url": f"https://apidoc.cometapi.com/models/{self.code}",
        }


_CHAT = ("chat", "tools")
_VISION = (*_CHAT, "vision")
_REASONING = (*_VISION, "reasoning")

CATALOG: tuple[Model, ...] = (
    Model("gpt-4.1", "OpenAI", "text", 1.6, 6.4, features=_VISION),
    Model("gpt-4.1-mini", "OpenAI", "text", 0.32, 1.28, features=_VISION),
    Model("gpt-4.1-nano", "OpenAI", "text", 0.08, 0.32, features=_VISION),
    Model("gpt-4o", "OpenAI", "text", 2.0, 8.0, features=_VISION),
    Model("gpt-4o-mini", "OpenAI", "text", 0.12, 0.48, features=_VISION),
    Model("gpt-5", "OpenAI", "text", 1.0, 8.0, features=_REASONING),
    Model("gpt-5-mini", "OpenAI", "text", 0.2, 1.6, features=_REASONING),
    Model("gpt-5-nano", "OpenAI", "text", 0.04, 0.32, features=_REASONING),
    Model("o3", "OpenAI", "text", 1.6, 6.4, features=_REASONING),
    Model("o4-mini", "OpenAI", "text", 0.88, 3.52, features=_REASONING),
    Model("claude-opus-4-1", "Anthropic", "text", 12.0, 60.0, features=_REASONING),
    Model("claude-sonnet-4", "Anthropic", "text", 2.4, 12.0, features=_REASONING),
    Model("claude-sonnet-4-5", "Anthropic", "text", 2.4, 12.0, features=_REASONING),
    Model("claude-haiku-4-5", "Anthropic", "text", 0.8, 4.0, features=_VISION),
    Model("gemini-2.5-pro", "Google", "text", 1.0, 8.0, features=_REASONING),
    Model("gemini-2.5-flash", "Google", "text", 0.24, 2.0, features=_REASONING),
    Model("gemini-2.5-flash-lite", "Google", "text", 0.08, 0.32, features=_VISION),
    Model("grok-4", "xAI", "text", 2.4, 12.0, features=_REASONING),
    Model("deepseek-chat", "DeepSeek", "text", 0.22, 0.88, features=_CHAT),
    Model("deepseek-reasoner", "DeepSeek", "text", 0.44, 1.75, features=(*_CHAT, "reasoning")),
    Model("qwen3-235b-a22b", "Alibaba", "text", 0.22, 0.88, features=_CHAT),
    Model("kimi-k2", "Moonshot", "text", 0.45, 1.8, features=_CHAT),
    Model("glm-4.6", "Zhipu", "text", 0.4, 1.6, features=_CHAT),
    Model("text-embedding-3-small", "OpenAI", "embedding", 0.016, features=("embeddings",)),
    Model("text-embedding-3-large", "OpenAI", "embedding", 0.104, features=("embeddings",)),
    Model("gpt-image-1", "OpenAI", "image", 4.0, 32.0, features=("image-generation",)),
    Model("flux-1.1-pro", "Black Forest Labs", "image", per_request=0.032, features=("image-generation",)),
    Model("midjourney-imagine", "Midjourney", "image", per_request=0.056, features=("image-generation",)),
    Model("veo-3", "Google", "video", per_second=0.32, features=("video-generation",)),
    Model("sora-2", "OpenAI", "video", per_second=0.08, features=("video-generation",)),
    Model("whisper-1", "OpenAI", "audio", per_request=0.0048, features=("transcription",)),
    Model("tts-1", "OpenAI", "audio", 12.0, features=("speech",)),
)
