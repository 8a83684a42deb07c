"""What every page and terminal table is drawn with: SVG, palette, number formats, template engine."""
