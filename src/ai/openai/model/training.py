"""The path the documentation of ``OpenAIModel`` names, from the checkout's root. The class itself is ``hypotez``'s.

from src.ai.openai.model.training import OpenAIModel, main
"""

from hypotez import OpenAIModel, main

__all__ = ["OpenAIModel", "main"]

if __name__ == "__main__":
    main()
