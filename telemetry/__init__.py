"""What a process says about itself: metrics, health and logs. No personal data in any of them."""
