"""For the outside world: sitemap, feeds and robots. Addresses in them are those of `APP__PUBLIC_URL`."""
