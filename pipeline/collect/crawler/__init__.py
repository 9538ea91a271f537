"""Web pages: which to fetch, how gently, and what to read from them."""
