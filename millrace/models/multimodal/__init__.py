"""The family `multimodal`: texts, images, histories and the table in one network. A row may lack any of them."""
