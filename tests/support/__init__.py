"""What tests share: kinds, factories, services."""
