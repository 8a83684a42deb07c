"""Which codes and levels a catalogue needs: cheap fits on the sample, extrapolated to all items before any run."""
