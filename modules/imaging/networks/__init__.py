"""Networks that enlarge pictures, and how their files name the layers. Need torch: for engines only."""
